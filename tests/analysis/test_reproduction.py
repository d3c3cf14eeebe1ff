"""Training a run again: what counts as equal, what is refused, whichever name the run goes by."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from harness.analysis.claims import Claim, find_claim, of_ledger
from harness.analysis.places import places
from harness.analysis.reproduction import _unequal, reproduce
from harness.cli import main as cli
from harness.config.groups import Data, Init, Loss, Model, Optim, Train
from harness.config.ids import NUMERICS
from harness.config.run import RunConfig
from harness.engine.train import train
from harness.errors import ConfigError
from harness.records.ledger import Ledger
from harness.records.record import curves_parquet
from harness.records.saved import config_yaml, read_config
from tests.support.driven import TINY, environment, harness
from tests.support.old_records import write_old


def tiny(**more):
    base = {"data": Data(fraction=0.01), "model": Model(n_embd=3, hidden=(4,)),
            "train": Train(steps=12, eval_every=5)}  # fmt: skip
    return RunConfig(**(base | more))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A ledger with runs that were trained together, of one fused program."""
    ledger = Ledger(tmp_path_factory.mktemp("some") / "runs")
    losses = ("cross_entropy", "hinge", "mse")
    runs = [tiny(seed=s, loss=Loss(name=n)) for s in (0, 1) for n in losses]
    runs.append(tiny(optim=Optim(lr=1e6), init=Init(weight_scale=30.0)))  # diverges
    return ledger, train(runs, ledger=ledger)


@pytest.mark.parametrize("place", range(7))
def test_a_run_of_a_fused_program_is_reproduced_to_the_bit(trained, place):
    ledger, records = trained
    record = records[place]
    found = reproduce(find_claim(record.run_id[:9], places(ledger)))
    assert found.bitwise and found.good and found.first_difference is None, found
    weights = sum(t.numel() for t in record.weights.values())
    points = sum(len(steps) for steps, _ in record.series.values())
    final = [name for name in record.summary if not name.startswith("speed/")]
    assert found.compared == weights + points + len(final)
    assert (record.verdict == "diverged") == (place == 6)


def changed(claim, **more):
    return dataclasses.replace(claim, **more)


def nudged(curve, at):
    values = curve[1].copy()
    values[at] = np.nextafter(values[at], 9.0)
    return curve[0], values


def test_a_single_bit_is_found_and_the_earliest_step_is_named(trained):
    ledger, records = trained
    claim = of_ledger(ledger, records[0].run_id)
    series = dict(claim.series)
    series["loss/val"] = nudged(series["loss/val"], 2)
    series["nll/train"] = nudged(series["nll/train"], 1)
    found = reproduce(changed(claim, series=series))
    first = found.first_difference
    assert not found.bitwise and not found.good
    assert (first.what, first.step) == ("nll/train", 5)  # evaluated at 0, 5, 10, 12
    assert first.was == np.nextafter(first.now, 9.0)
    plain = json.loads(json.dumps(found.to_plain()))
    assert list(plain) == ["run", "bitwise", "compared", "first_difference"]
    assert plain["first_difference"]["step"] == 5


def test_a_weight_a_final_number_or_a_verdict_that_differs_is_found(trained):
    ledger, records = trained
    claim = of_ledger(ledger, records[1].run_id)
    weights = {name: tensor.clone() for name, tensor in claim.weights.items()}
    weights["output.bias"][3] += 1e-6
    for more, what in (
        ({"weights": weights}, "output.bias[3]"),
        ({"summary": dict(claim.summary) | {"accuracy/val": 2.0}}, "accuracy/val"),
        ({"summary": dict(claim.summary) | {"made/up": 2.0}}, "made/up"),
        ({"summary": {k: v for k, v in claim.summary.items() if k != "top3/val"}}, "top3/val"),
        ({"verdict": "diverged"}, "verdict"),
        ({"weights": {}, "weights_sha256": "0" * 64}, "checksum of the weights"),
        ({"series": {k: v for k, v in claim.series.items() if k != "loss/val"}}, "loss/val"),
    ):
        found = reproduce(changed(claim, **more))
        assert found.first_difference.what == what, found.first_difference
        assert not found.good


def test_weights_that_are_no_numbers_compare_too(trained):
    """As of a run that diverged: nan equals nan, and differs from any number."""
    ledger, records = trained
    claim = of_ledger(ledger, records[1].run_id)
    bad = {name: tensor.clone() for name, tensor in claim.weights.items()}
    bad["output.bias"][:] = float("nan")
    assert len(_unequal(bad["output.bias"], bad["output.bias"].clone())) == 0
    assert _unequal(torch.tensor([0.0, 1.0]), torch.tensor([-0.0, 1.0])).tolist() == [0]
    found = reproduce(changed(claim, weights=bad))
    assert found.first_difference.what == "output.bias[0]"
    assert json.loads(json.dumps(found.to_plain(), allow_nan=False))["first_difference"]["was"] == (
        "nan"
    )


def test_timings_do_not_count(trained):
    ledger, records = trained
    claim = of_ledger(ledger, records[0].run_id)
    summary = dict(claim.summary) | {"speed/run_steps_per_s": 1.0}
    assert reproduce(changed(claim, summary=summary)).bitwise


def test_another_platform_has_a_tolerance_and_says_so(trained):
    ledger, records = trained
    claim = of_ledger(ledger, records[0].run_id)
    series = {name: (steps, values * (1 + 1e-4)) for name, (steps, values) in claim.series.items()}
    elsewhere = dict(claim.provenance) | {"torch": "2.11.0", "cpu": "another AVX2"}
    found = reproduce(changed(claim, series=series, provenance=elsewhere))
    assert not found.bitwise and found.good and not found.same_platform
    text = "\n".join(found.lines())
    assert "torch: 2.11.0 then" in text and "within the tolerance of 0.01" in text
    far = {name: (steps, values + 1) for name, (steps, values) in claim.series.items()}
    assert not reproduce(changed(claim, series=far, provenance=elsewhere)).good
    assert not reproduce(changed(claim, series=series)).good  # the same platform: every bit


def test_changed_data_are_refused(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("anna\nberta\ncarla\ndora\nemma\nfrida\ngerda\nhanna\n")
    ledger = Ledger(tmp_path / "runs")
    run = tiny(data=Data(name="file", path=str(words), split=(0.5, 0.25, 0.25)))
    (record,) = train([run], ledger=ledger)
    assert reproduce(of_ledger(ledger, record.run_id)).bitwise
    words.write_text(words.read_text().replace("frida", "fiona"))
    from harness.data import dataset

    for cached in vars(dataset).values():
        getattr(cached, "cache_clear", int)()
    with pytest.raises(ConfigError, match=r"data of run .* have changed.*words\.txt"):
        reproduce(of_ledger(ledger, record.run_id))


def test_other_code_is_said(trained):
    ledger, records = trained
    claim = of_ledger(ledger, records[0].run_id)
    old = dict(claim.provenance) | {
        "version": "0.0.9", "git_commit": "f" * 40, "git_dirty": True, "numerics": 0,
    }  # fmt: skip
    text = "\n".join(reproduce(changed(claim, provenance=old)).lines())
    assert "harness: 0.0.9 then" in text and "commit: ffffffffffff then" in text
    assert f"numerics: 0 then, {NUMERICS} here" in text and "uncommitted changes then" in text


def test_an_automatic_value_that_came_to_mean_something_else_is_found(trained, monkeypatch):
    """Here eval_every: null stands for every step, where it was a twentieth of all."""
    ledger, _ = trained
    (record,) = train([tiny(train=Train(steps=60))], ledger=ledger)
    real = RunConfig.resolved

    def other(self, *args):
        got = real(self, *args)
        if self.train.eval_every is None:
            got = dataclasses.replace(got, train=dataclasses.replace(got.train, eval_every=1))
        return got

    monkeypatch.setattr(RunConfig, "resolved", other)
    with pytest.raises(ConfigError, match="automatic value"):
        reproduce(of_ledger(ledger, record.run_id))


def lacking(text):
    return text.replace("  scope: linear\n", "").replace('  scope: "linear"\n', "")


def test_a_saved_config_that_is_not_whole_is_refused(trained):
    """As one from before `init.scope` came, and one from before a key was renamed."""
    _, records = trained
    text = config_yaml(records[0].config, records[0].provenance)
    assert read_config(yaml.safe_load(text)) == records[0].config
    with pytest.raises(ConfigError, match=r"lacks init\.scope \(now 'linear' by default\)"):
        read_config(yaml.safe_load(lacking(text)), "config.yaml")
    renamed = text.replace("  block_size:", "  context_size:")
    with pytest.raises(ConfigError, match=r"lacks data\.block_size.*data\.context_size is unknown"):
        read_config(yaml.safe_load(renamed), "config.yaml")
    own = yaml.safe_load(lacking(text))
    del own["saved"]  # a config of the user's own may leave out what it likes
    assert read_config(own) == records[0].config


def test_a_record_of_other_settings_is_refused(trained, monkeypatch):
    ledger, records = trained
    real = Ledger.read_plain

    def older(self, run_id):
        plain = real(self, run_id)
        del plain["config"]["init"]["scope"]
        return plain

    monkeypatch.setattr(Ledger, "read_plain", older)
    with pytest.raises(ConfigError, match=r"lacks init\.scope"):
        find_claim(records[0].run_id, places(ledger))


def test_a_saved_config_finds_its_numbers_in_the_ledger_or_beside_it(trained, tmp_path):
    ledger, records = trained
    record = records[2]
    elsewhere = Ledger(tmp_path / "none")
    home = write_old(tmp_path / "old", record)  # the first version kept a config beside each record
    assert find_claim(str(home / "config.yaml"), places(elsewhere)).summary == record.summary
    assert find_claim(str(home), places(elsewhere)).run_id == record.run_id
    # as downloaded from MLflow
    (tmp_path / "config.yaml").write_text(config_yaml(record.config, record.provenance))
    assert find_claim(str(tmp_path / "config.yaml"), places(ledger)).summary == record.summary
    (tmp_path / "curves.parquet").write_bytes(curves_parquet(record.series))
    claim = find_claim(str(tmp_path / "config.yaml"), places(elsewhere))
    assert claim.run_id == record.run_id and not claim.summary
    assert reproduce(claim).bitwise
    edited = (tmp_path / "config.yaml").read_text().replace("steps: 12", "steps: 13")
    (tmp_path / "config.yaml").write_text(edited)
    found = reproduce(find_claim(str(tmp_path / "config.yaml"), places(elsewhere)))
    assert found.first_difference.step == 10  # the rate drops at half of all steps: not yet at 5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("0123", "no run"), ("", "no run"), ("../x", "cannot be read"),
        ("x.yaml", "cannot be read"), ("a" * 32, "no run"), ("\x00", "NUL"),
        ("x" * 300, "no run"),
    ],
)  # fmt: skip
def test_what_is_no_run_is_said(tmp_path, monkeypatch, capsys, name, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert cli.run(["reproduce", name]) == 2
    out, err = capsys.readouterr()
    assert said in err and "Traceback" not in err and out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "- 1\n", "a: [", "data: 3\n", "!!python/object/apply:os.getcwd []\n", "\x00"]
)
def test_a_file_that_is_no_config_is_refused(tmp_path, monkeypatch, capsys, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(text)
    assert cli.run(["reproduce", "own.yaml"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_json_and_exit_codes(trained, tmp_path, monkeypatch, capsys):
    ledger, records = trained
    monkeypatch.chdir(ledger.root.parent)
    assert cli.run(["reproduce", records[0].run_id, "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["bitwise"] is True and out.count("\n") == 1

    def false(self, run_id, real=Ledger.read):
        record = real(self, run_id)
        return dataclasses.replace(record, summary=dict(record.summary) | {"nll/val": 1.0})

    monkeypatch.setattr(Ledger, "read", false)
    assert cli.run(["reproduce", records[0].run_id]) == 1
    assert "first difference: nll/val: was 1.0" in capsys.readouterr().out


@pytest.mark.slow
def test_from_mlflow_alone_on_any_store(tmp_path):
    """By MLflow id and by run id, from another folder, without the ledger, with less and less."""
    made, other = tmp_path / "made", tmp_path / "other"
    made.mkdir()
    other.mkdir()
    grid = ["sweep", *TINY, "train.steps=60", "loss=cross_entropy,hinge", "seed=0,1", "--quiet"]
    code, _, err = harness(*grid, cwd=made)
    assert code == 0, err
    (made / "runs").rename(tmp_path / "away")
    uri = f"sqlite:///{made / 'mlflow.db'}"
    homes = sorted((made / "mlartifacts" / "harness").iterdir())
    parent = next(home for home in homes if (home / "artifacts" / "runs.parquet").exists())
    for home in homes:
        if not (home / "artifacts" / "config.yaml").exists():
            continue  # the parent
        code, out, err = harness(
            "reproduce", home.name, "--json", cwd=other, MLFLOW_TRACKING_URI=uri
        )
        assert code == 0 and json.loads(out)["bitwise"], (out, err)
        for file in (parent / "artifacts/curves.parquet", home / "artifacts/config.yaml"):
            file.unlink()  # MLflow's own numbers and params remain
        code, out, err = harness("reproduce", home.name, "--uri", uri, cwd=other)
        assert code == 0 and "4 curves" in out, (out, err)
        break
    names = Ledger(tmp_path / "away").run_ids()
    code, out, _ = harness("reproduce", names[0], "--uri", uri, cwd=other)
    assert code == 0 and names[0] in out
    assert sorted(p.name for p in other.iterdir()) == ["err", "out"]


@pytest.mark.slow
def test_other_kernels_stay_within_the_tolerance(tmp_path):
    """torch's plainest kernels stand for another platform: no longer the same bits, close all the
    same. Losses of 300 steps of plain SGD, at a rate that trains well."""
    code, _, err = harness(
        "sweep", *TINY, "train.steps=300", "loss=cross_entropy,mse", "optim=sgd,adam",
        "optim.lr=0.01", "tracking=off", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert code == 0, err
    script = (
        "from harness.analysis.claims import find_claim; from harness.records.ledger import Ledger;"
        "from harness.analysis.places import places;"
        "from harness.analysis.reproduction import reproduce; ledger = Ledger();"
        "found = [reproduce(find_claim(r, places(ledger))) for r in ledger.run_ids()];"
        "assert not any(f.same_platform for f in found);"
        "assert all(f.good for f in found), found;"
        "print(max(f.worst for f in found))"
    )
    env = environment(ATEN_CPU_CAPABILITY="default", MKL_CBWR="COMPATIBLE")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-3


def test_a_claim_is_plain_data():
    claim = Claim(run_id="a", source="b", config=RunConfig(), series={})
    assert claim.whole and not claim.weights
