"""Comparisons of constructed tables, against pandas, scipy.stats and numbers worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness import ConfigError, Data, Init, RunConfig, Train, compare, train
from harness.analysis.table import SweepTable, make_table

SETTINGS = ["init.weight_scale", "loss.name", "reg.strength", "optim.lr", "seed"]
META = {"sweep_id": "s", "name": "sweep s"}


def run(loss="mse", lr=0.1, scale=1.0, seed=0, strength=0.0, verdict="fit", status="FINISHED", **m):
    config = f"{loss} {lr} {scale} {strength}"
    return {
        "status": status, "name": config, "run_id": f"{config} {seed}", "config_id": config,
        "verdict": verdict, "init.weight_scale": scale, "loss.name": loss,
        "reg.strength": strength, "optim.lr": lr, "seed": seed, **m,
    }  # fmt: skip


def table(*rows) -> SweepTable:
    return make_table(rows, SETTINGS, META, lambda: pd.DataFrame())


def grid(value, seeds=3, **axes):
    """Runs of every combination of the axes, nll/val = value(**settings, seed)."""
    frame = pd.MultiIndex.from_product([*axes.values(), range(seeds)], names=[*axes, "seed"])
    rows = [dict(zip(frame.names, values, strict=True)) for values in frame]
    return table(*(run(**row, **{"nll/val": value(**row)}) for row in rows))


NOISE = np.random.default_rng(0).normal(size=50)


def test_rows_are_the_contracts_and_the_numbers_scipys():
    found = compare(grid(lambda loss, seed: len(loss) + NOISE[seed], loss=["mse", "hinge"]))
    assert [set(row) for row in found.rows] == [{"config", "n", "metrics"}] * 2
    row = found.rows[0]
    x = 3 + NOISE[:3]
    assert row["config"] == {"loss.name": "mse"} and row["n"] == 3
    assert set(row["metrics"]) == {"nll/val"}
    assert set(row["metrics"]["nll/val"]) == {"mean", "sd", "ci95"}
    assert row["metrics"]["nll/val"]["mean"] == pytest.approx(x.mean())
    want = stats.t.interval(0.95, 2, loc=x.mean(), scale=stats.sem(x))
    assert row["metrics"]["nll/val"]["ci95"] == pytest.approx(list(want))
    assert json.loads(json.dumps(found.to_json())) == found.to_json()


def test_one_run_each_has_no_interval_and_says_so():
    found = compare(grid(lambda **_: 2.0, seeds=1, loss=["mse", "bce"]))
    assert found.rows[0]["metrics"]["nll/val"] == {"mean": 2.0, "sd": None, "ci95": None}
    assert any("One run each" in remark for remark in found.remarks)


def test_only_varying_settings_are_shown_best_first():
    values = {0.1: 3.0, 1.0: 1.0, 3.0: 2.0}
    data = grid(lambda loss, scale, seed: values[scale], loss=["nll"], scale=list(values))
    found = compare(data)
    assert [row["config"] for row in found.rows] == [
        {"init.weight_scale": x} for x in (1.0, 3.0, 0.1)
    ]
    assert "Best first, of 3, by nll/val" in found.order
    turned = compare(data, sort="-nll/val")
    assert [row["config"]["init.weight_scale"] for row in turned.rows] == [0.1, 3.0, 1.0]
    assert turned.order.startswith("Worst first")


def test_where_losses_differ_the_calibrated_yardstick_orders():
    rows = [run(loss=x, **{"best/nll_val": raw, "nll_calibrated/val": fair})
            for x, raw, fair in (("mse", 3.2, 1.9), ("nll", 2.0, 2.0))]  # fmt: skip
    found = compare(table(*rows))
    assert [row["config"]["loss.name"] for row in found.rows] == ["mse", "nll"]
    assert found.headline == "nll_calibrated/val" and "losses differ" in found.order


def test_losses_that_cannot_be_calibrated_are_ranked_apart():
    rows = [run(loss=x, scale=g, **{"best/nll_val": v})
            for x, g, v in (("mse", 1.0, 3.2), ("nll", 1.0, 2.0), ("mse", 3.0, 3.1))]  # fmt: skip
    found = compare(table(*rows))
    assert [tuple(row["config"].values()) for row in found.rows] == [
        (3.0, "mse"), (1.0, "mse"), (1.0, "nll"),  # mse came first in the table
    ]  # fmt: skip
    assert "each loss apart" in found.order


def test_equal_rows_are_one_for_people_and_all_for_programs():
    rows = [run(loss=x, seed=s, **{"best/nll_val": 2.0 + s, "speed/run_steps_per_s": float(s + i)})
            for i, x in enumerate(("cross_entropy", "nll")) for s in range(2)]  # fmt: skip
    rows += [run(loss="nll", scale=3.0, seed=s, **{"best/nll_val": 2.5}) for s in range(2)]
    found = compare(table(*rows))
    assert len(found.rows) == 3 and len(found.frame()) == 3
    text = found.text()
    assert text.count("cross_entropy = nll") == 1 and "the last digit" in text
    assert text.count("2.5000 ±") == 2  # that of the equal rows, and another of the same mean


def test_diverged_rows_are_like_no_other():
    """Two rates at which a run diverged have the same first numbers and none later."""
    rows = [run(lr=lr, verdict="diverged", **{"init/loss_measured": 3.3}) for lr in (10.0, 100.0)]
    assert compare(table(*rows)).twins == (0, 1)


def test_accuracy_is_better_when_higher():
    rows = table(*(run(loss=x, **{"accuracy/val": a}) for x, a in (("a", 0.2), ("b", 0.3))))
    found = compare(rows, metrics="accuracy/val")
    assert [row["config"]["loss.name"] for row in found.rows] == ["b", "a"]


def test_by_pools_what_is_left_and_says_what():
    data = grid(lambda loss, scale, seed: scale + NOISE[seed], loss=["a", "b"], scale=[1.0, 2.0])
    found = compare(data, by="weight_scale")
    frame = data.runs.groupby("init.weight_scale")["nll/val"].agg(["mean", "std", "count"])
    for row, (scale, want) in zip(found.rows, frame.iterrows(), strict=True):
        assert row["config"] == {"init.weight_scale": scale} and row["n"] == want["count"] == 6
        assert row["metrics"]["nll/val"]["sd"] == pytest.approx(want["std"])
    assert any("pool loss.name (2)" in remark for remark in found.remarks)


def test_two_keys_make_a_pivot_that_fits():
    data = grid(
        lambda loss, scale, seed: scale + NOISE[seed], loss=["a", "b"], scale=[0.1, 0.3, 1.0, 3.0]
    )
    text = compare(data, by=["loss", "weight_scale"]).text(80)
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("0.1", "0.3", "across", "95 %"))
    with pytest.raises(ConfigError, match="two for a pivot"):
        compare(data, by=["loss", "weight_scale", "seed"])


def test_each_loss_is_compared_at_its_own_best_learning_rate():
    """a is best at .1, b at .3; pooled over rates a would look better than b."""
    value = {("a", 0.1): 2.2, ("a", 0.3): 2.4, ("b", 0.1): 9.0, ("b", 0.3): 2.1}
    data = grid(lambda loss, lr, seed: value[loss, lr], loss=["a", "b"], lr=[0.1, 0.3])
    found = compare(data, by="loss")
    got = {row["config"]["loss.name"]: row for row in found.rows}
    assert got["a"]["config"]["optim.lr"] == 0.1 and got["b"]["config"]["optim.lr"] == 0.3
    assert got["b"]["metrics"]["nll/val"]["mean"] == pytest.approx(2.1) and got["b"]["n"] == 3
    assert any("own best learning rate" in remark for remark in found.remarks)
    pooled = compare(data, by="loss", rates="all")
    assert [row["n"] for row in pooled.rows] == [6, 6]
    assert pooled.rows[1]["metrics"]["nll/val"]["mean"] == pytest.approx(5.55)


def test_a_rate_at_which_runs_diverge_is_not_the_best():
    rows = [run(lr=0.1, seed=s, **{"nll/val": 2.5}) for s in range(3)]
    rows += [run(lr=1.0, seed=0, **{"nll/val": 2.0})]
    rows += [run(lr=1.0, seed=s, verdict="diverged", **{"nll/val": 1e9}) for s in (1, 2)]
    assert compare(table(*rows), by="loss").rates[0]["lr"] == 0.1


def test_best_rates_pair_with_the_baselines_best_rate():
    value = {("a", 0.1): 2.2, ("a", 0.3): 2.4, ("b", 0.1): 9.0, ("b", 0.3): 2.1}
    data = grid(
        lambda loss, lr, seed: value[loss, lr] + NOISE[seed], loss=["a", "b"], lr=[0.1, 0.3]
    )
    found = compare(data, by="loss", baseline="loss=a")
    assert found.differences[1]["nll/val"]["mean"] == pytest.approx(-0.1)
    assert found.differences[0] == {}  # the baseline itself


def test_pairs_share_seeds_and_the_noise_cancels():
    """Seeds differ by far more than losses do; paired, the difference is exact."""
    data = grid(lambda loss, seed: 10 * seed + (loss == "b") * (0.5 + 0.01 * seed), loss=["a", "b"])
    found = compare(data, baseline={"loss.name": "a"})
    entry = next(d["nll/val"] for d in found.differences if d)
    want = stats.t.interval(0.95, 2, loc=0.51, scale=0.01 / 3**0.5)  # 0.50, 0.51, 0.52
    assert entry["n"] == 3 and entry["mean"] == pytest.approx(0.51)
    assert entry["ci95"] == pytest.approx(list(want))
    assert entry["effect_size"] == pytest.approx(51)
    rows = found.to_json()
    assert set(rows[1]["metrics"]) == {"nll/val", "difference/nll/val"}
    assert "paired" in found.text()


def test_pooled_pairs_count_seeds_not_runs():
    """Two scales a seed are averaged before the interval: they share that seed's luck."""
    data = grid(
        lambda loss, scale, seed: (loss == "b") * (seed + scale), loss=["a", "b"], scale=[1.0, 3.0]
    )
    found = compare(data, by="loss", baseline="loss=a")
    entry = found.differences[1]["nll/val"]
    assert entry["n"] == 3 and entry["mean"] == pytest.approx(3)  # 2, 3, 4
    assert entry["sd"] == pytest.approx(1)


def test_a_seed_that_the_baseline_lacks_makes_no_pair():
    rows = [run(loss="a", seed=0, **{"nll/val": 1.0})]
    rows += [run(loss="b", seed=s, **{"nll/val": 2.0}) for s in range(3)]
    entries = compare(table(*rows), baseline="loss=a").differences
    assert {e["nll/val"]["n"] for e in entries if e} == {1}


def test_diverged_and_failed_runs_are_told_apart_from_numbers():
    rows = [run(seed=s, **{"nll/val": 2.0, "best/nll_val": 1.9, "init/loss_measured": 3.0})
            for s in range(2)]  # fmt: skip
    lost = {"nll/val": 1e30, "best/nll_val": 3.3, "init/loss_measured": 4.5}
    rows += [run(seed=2, verdict="diverged", **lost)]
    rows += [run(seed=3, status="FAILED", verdict=None)]
    found = compare(table(*rows))
    row = found.rows[0]
    assert row["n"] == 3 and row["metrics"]["nll/val"]["mean"] == 2.0
    assert row["metrics"]["best/nll_val"]["mean"] == 1.9
    assert row["metrics"]["init/loss_measured"]["mean"] == 3.5  # all runs reached step 0
    assert found.verdicts[0] == {"fit": 2, "diverged": 1}
    text = " ".join(found.remarks)
    assert "1 run diverged" in text and "1 run failed" in text


def test_where_selects_and_refuses_what_matches_nothing():
    data = grid(lambda loss, scale, seed: scale, loss=["a", "b"], scale=[0.1, 1.0])
    assert len(compare(data, where="weight_scale=.1").rows) == 2
    assert len(compare(data, where=["loss=a", "weight_scale<1"]).rows) == 1
    assert len(compare(data, where="loss!=a,nll/val>=1").rows) == 1
    with pytest.raises(ConfigError, match=r"no run has init.weight_scale=7; there are: 0.1, 1"):
        compare(data, where="weight_scale=7")
    with pytest.raises(ConfigError, match=r"key=value"):
        compare(data, where="weight_scale")
    with pytest.raises(ConfigError, match=r"Did you mean 'init.weight_scale'"):
        compare(data, by="init.weight_scal")
    with pytest.raises(ConfigError, match="is a setting"):
        compare(data, metrics="loss.name")


def test_the_table_fits_80_columns_and_keeps_the_headline():
    rows = [
        run(loss=loss, scale=s, strength=t, seed=seed, **{
            "nll_calibrated/val": 2.3 + NOISE[seed] / 99, "best/nll_val": 2.4, "best/step": 1500.0})
        for loss in ("cross_entropy", "crammer_singer") for s in (0.1, 3.0) for t in (0.0, 1e-5)
        for seed in range(3)
    ]  # fmt: skip
    text = compare(table(*rows)).text(80)
    assert max(map(len, text.splitlines())) <= 80
    assert "crammer_singer" in text and "nll_calibrated" in text


def test_csv_frame_has_one_flat_row_a_configuration():
    frame = compare(grid(lambda loss, seed: NOISE[seed], loss=["a", "b"])).frame()
    names = [f"nll/val.{part}" for part in ("mean", "sd", "low", "high")]
    assert list(frame.columns) == ["loss.name", "n", *names]


def test_certified_memorisation_is_remarked():
    rows = [run(seed=s, **{"nll/val": 2.0, "memorised/evidence": e}) for s, e in ((0, 9), (1, 11))]
    assert any("memorisation in 1 run" in remark for remark in compare(table(*rows)).remarks)


def test_machines_of_two_kinds_are_remarked_with_what_they_differ_in():
    chips = [
        "torch 2, cpu A, device cpu",
        "torch 2, cpu A, device cpu",
        "torch 2, cpu B, device cpu",
    ]
    rows = [run(seed=s, machine=chip, **{"nll/val": 2.0}) for s, chip in enumerate(chips)]
    (said,) = [one for one in compare(table(*rows)).remarks if "machines" in one]
    assert "of 2 kinds (2 runs on cpu A; 1 run on cpu B)" in said and "to rounding" in said
    alike = [run(seed=s, machine=m, **{"nll/val": 2.0}) for s, m in ((0, chips[0]), (1, None))]
    assert not any("machines" in one for one in compare(table(*alike)).remarks)


def test_where_the_spread_comes_from_is_told_when_seeds_are_swept_apart():
    rows = []
    for i in range(2):
        for b in range(3):
            one = run(seed=0, **{"nll/val": float(i)})
            one |= {"init.seed": i, "train.batch_seed": b, "run_id": f"{i}{b}"}
            rows.append(one)
    settings = [*SETTINGS, "init.seed", "train.batch_seed"]
    found = compare(make_table(rows, settings, META, lambda: pd.DataFrame()))
    assert len(found.rows) == 1 and found.rows[0]["n"] == 6 and found.rows[0]["config"] == {}
    assert found.explained.shares[0].share == pytest.approx(1)
    assert "init.seed" in found.text()


def test_records_straight_from_training_compare():
    runs = [
        RunConfig(seed=s, data=Data(fraction=0.02), init=Init(weight_scale=g), train=Train(steps=4))
        for s in range(2)
        for g in (0.1, 1.0)
    ]
    records = train(runs)
    found = compare(records)
    assert [set(row["config"]) for row in found.rows] == [{"init.weight_scale"}] * 2
    values = [r.summary["nll/val"] for r in records if r.config.init.weight_scale == 0.1]
    row = next(r for r in found.rows if r["config"]["init.weight_scale"] == 0.1)
    assert row["metrics"]["nll/val"]["mean"] == pytest.approx(np.mean(values))
    assert "weight_scale" in str(found)


def test_nothing_finished_is_an_empty_comparison():
    found = compare(table(run(status="RUNNING", verdict=None)))
    assert found.rows == [] and "running" in " ".join(found.remarks)
    assert found.text()
