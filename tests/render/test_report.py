"""The report: true sentences, a page for any sweep, nothing loaded from elsewhere."""

import base64
import hashlib
import html
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.analysis import effects as swept
from harness.analysis import findings
from harness.analysis.effects import Swept
from harness.errors import ConfigError, HarnessError
from harness.numerics.digits import number
from harness.render import publishing, report, told
from harness.render import report_tables as reporttables
from harness.render.figures import coordinates, expected, style
from tests.support.synthetic_sweep import synthetic_table

GRID = {
    "loss.name": ("cross_entropy", "hinge"), "init.weight_scale": (0.1, 1.0, 3.0),
    "reg.strength": (0.0, 1.0), "seed": (0, 1),
}  # fmt: skip
VOID = {"meta", "br", "hr", "path", "use", "rect"}
PARTS = {
    "initial-loss", "curves", "curves-by-start", "settings", "best-validation", "gap",
    "regularization-path",
}  # fmt: skip


class Page(HTMLParser):
    """Links, figures, ids and svgs of a page; fails on tags that do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.ids, self.figures, self.svgs, self.stack = [], [], [], [], []
        self.captioned, self.scripts = 0, []
        self.feed(text)
        self.close()
        assert not self.stack, self.stack

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.loads += [
            v for k, v in attrs if k in ("src", "href", "srcset", "data", "action") and v
        ]
        assert tag not in ("iframe", "object", "embed", "link", "img")
        self.scripts += [given.get("type", "run")] * (tag == "script")
        assert not [key for key in given if key.startswith("on")]
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "figure":
            self.figures.append(given["id"])
        if tag == "figcaption":
            self.captioned += 1
        if tag == "svg":
            self.svgs.append(given)
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag


@pytest.fixture(scope="module")
def grid():
    return synthetic_table(GRID)


@pytest.fixture(scope="module")
def page(grid):
    return report.build(grid)


def sentences(table):
    view = Swept(table)
    return findings.headline(view, report.floors_of(view))


def plain(table):
    return " ".join(sentences(table)).replace("`", "").replace("**", "")


# the page


def test_page_is_whole_and_loads_nothing(page):
    seen = Page(page)
    assert all(link.startswith("#") for link in seen.loads)  # marks inside a drawing
    assert not re.search(r"https?://|url\((?!#)|@import", page)
    assert len(seen.ids) == len(set(seen.ids))


def test_every_figure_has_a_caption_and_every_drawing_says_what_it_shows(page):
    seen = Page(page)
    assert set(seen.figures) == PARTS
    assert seen.captioned == len(seen.figures)
    assert len(seen.svgs) >= len(PARTS)
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 20 for svg in seen.svgs)


def told_of(page):
    return json.loads(re.search(r'id="told">(.*?)</script>', page, re.DOTALL)[1])


def test_one_script_runs_and_the_page_names_it_by_its_hash(page):
    assert Page(page).scripts == ["application/json", "run"]
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert html.unescape(policy).startswith(f"default-src 'none'; script-src 'sha256-{digest}';")
    assert "eval" not in script and "innerHTML" not in script


def test_every_mark_tells_runs_settings_and_the_value(page, grid):
    """Each dot of the start names runs of the sweep, whose logged number is the value told."""
    found = told_of(page)
    assert set(re.findall(r'data-panel="([^"]+)"', page)) == set(found["panels"])
    runs = grid.runs.set_index("run_id")
    starts = [one for one in found["panels"].values() if one["what"] == "initial loss"]
    assert sum(len(one["of"]) for one in starts) == len(runs)
    for one in starts:
        for place, value in zip(one["of"], one["value"], strict=True):
            settings, n, ids = found["runs"][place]
            assert n == len(ids) == 1
            assert value == number(runs.at[ids[0], "init/loss_measured"], 4)
            assert f"weight_scale={runs.at[ids[0], 'init.weight_scale']:g}" in settings
    (cells,) = [one for one in found["panels"].values() if one["what"] == "gap/nll"][:1]
    for place, value in zip(cells["of"], cells["value"], strict=True):
        settings, n, ids = found["runs"][place]
        assert n == 2 and "seed" not in settings
        assert value == f"{runs.loc[ids, 'gap/nll'].mean():.3f}"


def test_marks_are_in_their_drawings(page):
    found = told_of(page)["panels"]
    for name, svg in re.findall(r'data-panel="([^"]+)".*?viewBox="([^"]+)"', page, re.DOTALL):
        left, top, width, height = map(float, svg.split())
        at = np.array(found[name]["at"]).reshape(-1, 2) / 10
        assert (at >= (left, top)).all() and (at <= (left + width, top + height)).all()
        assert (np.diff(at[:, 0]) >= 0).all()  # the keyboard goes from left to right


def test_runs_that_are_equal_are_drawn_once():
    """nll and cross-entropy of equal numbers share panels; equal starts are one dot."""

    def equal(row):
        if row["loss.name"] == "nll":
            row |= numbers[row["init.weight_scale"], row["reg.strength"], row["seed"]]
        else:
            own = {k: v for k, v in row.items() if "/" in k}
            numbers[row["init.weight_scale"], row["reg.strength"], row["seed"]] = own
        row["init/loss_measured"] = 3.0 + row["init.weight_scale"]

    numbers = {}
    axes = {**GRID, "loss.name": ("cross_entropy", "nll")}
    page = report.build(synthetic_table(axes, change=equal))
    assert "cross_entropy = nll" in page
    starts = [one for one in told_of(page)["panels"].values() if one["what"] == "initial loss"]
    (one,) = starts
    assert len(one["of"]) == 3  # a dot a weight scale, of two strengths and two seeds
    assert {told_of(page)["runs"][place][1] for place in one["of"]} == {4}


def test_long_labels_stay_inside_their_drawing():
    names = ("a-very-long-name-of-a-word-list-" * 2, "another-" * 8)
    table = synthetic_table({"data.path": names, "init.weight_scale": (0.1, 1.0), "seed": (0, 1)})
    widths = [
        float(box.split()[2]) for box in re.findall(r'viewBox="([^"]+)"', report.build(table))
    ]
    assert max(widths) > 72 * style.WIDTH  # grown to hold them


def test_a_page_tells_of_so_many_runs_and_no_more(monkeypatch, grid):
    monkeypatch.setattr(told, "MOST_ENTRIES", 5)
    found = told_of(report.build(grid))
    assert len(found["runs"]) == 5
    assert max(max(one["of"]) for one in found["panels"].values()) == 4


def test_marks_in_drawings_are_found(page):
    ids = set(Page(page).ids)
    used = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert used
    assert used <= ids


def test_drawings_follow_the_colours_of_the_page(page):
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert not set(style.VARIABLES) & set(re.findall(r"#[0-9a-f]{6}", drawn))
    named = set(re.findall(r"var\((--\w+)\)", page))
    dark = page[page.index("prefers-color-scheme: dark") :]
    for name in named - {"--sans"}:
        assert f"{name}:" in page.split("@media")[0]
        assert f"{name}:" in dark[: dark.index("}")]


def test_axes_carry_units(page):
    for label in ("(nats/char)", "training step", "(multiple of the scheme", "(margin units)"):
        assert label in page


def test_floors_are_lines_in_the_nll_figures(page):
    for name in ("curves", "settings", "regularization-path"):
        figure = page[page.index(f'id="{name}"') :]
        assert "counting (val)" in figure[: figure.index("</figure>")]


def test_best_run_can_be_trained_again_from_the_page(page):
    # scale 1 and strength 1 are best by construction, for cross_entropy
    assert re.search(r"harness reproduce 0{14}0[67]", page)
    assert "harness train reg.name=l2 reg.strength=1.0" in page


def test_text_from_outside_is_escaped():
    def change(row):
        row |= {"status": "FAILED", "verdict": None, "error": "x\n<script>alert(1)</script>"}
        row["data.name"] = "<b>census"

    text = report.build(synthetic_table({"seed": (0, 1)}, change=change))
    Page(text)
    bad = "</script><script>alert(1)</script>&quot;"
    told = report.build(synthetic_table({"data.column": (bad, "name"), "seed": (0, 1)}))
    assert Page(told).scripts == ["application/json", "run"]
    assert any("alert(1)" in words for words, *_ in told_of(told)["runs"])  # told as text
    assert "&lt;script&gt;alert(1)" in text


def test_path_of_a_word_list_is_not_told():
    def change(row):
        row |= {"data.name": "file", "data.path": "/home/someone/words.txt"}

    text = report.build(synthetic_table(GRID, change=change))
    assert "words.txt" in text
    assert "/home/someone" not in text
    paths = ("/home/someone/a.txt", "/home/someone/b.txt", "/home/other/b.txt", None)
    text = report.build(synthetic_table({"data.path": paths, "seed": (0, 1)}))
    assert "/home/" not in text
    assert {"a.txt", "b.txt", "b.txt (2)"} <= set(re.findall(r"[ab]\.txt(?: \(2\))?", text))


@pytest.mark.slow
def test_500_runs_stay_under_5_mb():
    table = synthetic_table({**GRID, "init.bias": ("zero", "normal"), "seed": tuple(range(21))})
    assert len(table.runs) == 504
    assert len(report.build(table).encode()) < 5_000_000


# any sweep gets its page


AXES = {
    "one run": {},
    "seeds only": {"seed": (0, 1, 2)},
    "one number": {"optim.lr": (0.01, 0.1, 1.0)},
    "one kind": {"optim.name": ("sgd", "adam")},
    "a zero scale": {"init.weight_scale": (0.0, 0.3, 3.0)},
    "no weight scale": {"init.output_scale": (0.1, 1.0), "optim.lr": (0.1, 0.2)},
    "lists": {"model.hidden": ((), (64,), (64, 64)), "seed": (0, 1)},
    "null and numbers": {"optim.embed_lr": (None, 0.1, 0.5)},
    "booleans": {"model.batch_norm": (False, True)},
    "data": {"data.fraction": (0.1, 0.25, 1.0), "reg.strength": (0.0, 1.0)},
}


@pytest.mark.parametrize("name", AXES)
def test_any_axes(name):
    text = report.build(synthetic_table(AXES[name]))
    seen = Page(text)
    assert "nan" not in re.sub(r"<[^>]+>", " ", text).lower().replace("nanoseconds", "").split()
    assert "initial-loss" in seen.figures
    assert "curves" in seen.figures


def test_random_search_over_many_axes():
    rng = np.random.default_rng(1)
    runs = [
        {
            "init.weight_scale": float(np.exp(rng.uniform(-3, 2))),
            "optim.lr": float(rng.uniform(0.01, 1)),
            "reg.strength": float(np.exp(rng.uniform(-4, 3))),
            "init.embed_scale": float(rng.uniform(0.5, 2)),
            "model.n_embd": int(rng.integers(4, 64)),
            "loss.name": str(rng.choice(["bce", "hinge"])),
            "optim.schedule": str(rng.choice(["step", "cosine"])),
        }
        for _ in range(80)
    ]  # fmt: skip
    table = synthetic_table(runs=runs)
    assert Swept(table).keys["optim.lr"].binned
    assert (
        next(iter(Swept(table).influence)) == "init.weight_scale"
    )  # .1 ln(scale)^2 dwarfs the rest
    assert {"settings", "best-validation"} <= set(Page(report.build(table)).figures)


def test_diverged_only():
    def change(row):
        for name in [n for n in row if "/" in n and not n.startswith("init/loss_u")]:
            del row[name]
        row["verdict"] = "diverged"

    table = synthetic_table(GRID, change=change)
    assert Swept(table).metric is None
    assert "All 24 runs diverged." in plain(table)
    assert "Runs that went wrong" in report.build(table)


def test_failed_only_and_empty():
    def change(row):
        row |= {"status": "FAILED", "verdict": None, "error": "Traceback\nMemoryError: too large"}

    table = synthetic_table({"seed": (0, 1)}, change=change)
    assert sentences(table) == ["No run of this sweep has finished; 2 failed or were stopped."]
    assert "MemoryError: too large" in report.build(table)
    assert sentences(synthetic_table(runs=[])) == ["No run of this sweep has finished."]
    Page(report.build(synthetic_table(runs=[])))


@pytest.mark.parametrize("gone", ["nll", "init", "gap", "norm", "curves", "all but loss"])
def test_missing_metrics(gone):
    drop = {
        "nll": ("best/nll_val", "nll/val", "nll/train", "gap/nll"),
        "init": tuple(f"init/loss_{n}" for n in ("uniform", "expected", "measured", "z")),
        "gap": ("gap/nll",), "norm": ("weights/norm",), "curves": (),
    }  # fmt: skip
    drop["all but loss"] = (*drop["nll"], *drop["init"], "best/step", "accuracy/val")
    drop = drop[gone]
    table = synthetic_table(GRID, drop=drop, curves=gone != "curves", floors=gone != "nll")
    figures = set(Page(report.build(table)).figures)
    assert ("initial-loss" in figures) == (gone not in ("init", "all but loss"))
    assert ("gap" in figures) == ("gap/nll" not in drop)
    assert ("curves" in figures) == (gone not in ("curves", "nll", "all but loss"))


def test_expected_loss_unknown_for_some_runs():
    def change(row):
        if row["loss.name"] == "hinge":
            del row["init/loss_expected"], row["init/loss_z"]

    assert "initial-loss" in Page(report.build(synthetic_table(GRID, change=change))).figures


# the sentences


def test_headline_names_the_best_configuration(grid):
    text = plain(grid)
    best = (
        grid.runs.groupby("config_id")["nll_calibrated/val"]
        .agg(["mean", "std"])
        .sort_values("mean")
        .iloc[0]
    )
    half = stats.t.ppf(0.975, 1) * best["std"] / 2**0.5
    told = f"{best['mean']:.4f} ± {half:.4f} nats/char"
    assert f"Best of 12 configurations by nll_calibrated/val: {told} (mean of 2 seeds)" in text
    chosen = "init.weight_scale=1 loss.name=cross_entropy reg.name=l2 reg.strength=1."
    assert f"seeds) with {chosen}" in text
    # of the three ways to count, the best on validation: symbols 2.81, pairs 2.45, contexts 2.5
    assert f"That is {2.45 - best['mean']:.3f} below what counting pairs attains" in text
    assert "1 more" not in text


def test_runner_up_beyond_and_within_the_noise_of_seeds():
    def shift(by):
        def change(row):
            noise = {0: 0.0, 1: 0.010, 2: -0.010}[row["seed"]]
            wobble = {0: 0.002, 1: -0.002, 2: 0.001}[row["seed"]] if row["optim.lr"] == 0.2 else 0
            row["best/nll_val"] = 2.0 + noise + (by if row["optim.lr"] == 0.2 else 0) + wobble

        return change  # fmt: skip

    axes = {"optim.lr": (0.1, 0.2), "seed": (0, 1, 2)}
    far = plain(synthetic_table(axes, change=shift(0.02)))
    # differences .022, .018, .021: mean .0203, t(2) half width 4.303 * .0021 / sqrt 3 = .0052
    assert "is 0.0203 behind: more than seeds explain" in far
    assert "difference 0.0152 to 0.0255" in far
    near = plain(synthetic_table(axes, change=shift(0.001)))
    assert "within the noise of seeds" in near
    alone = plain(synthetic_table({"optim.lr": (0.1, 0.2)}, change=lambda row: row.update(seed=0)))
    assert "with one seed each" in alone


def test_equal_configurations_are_called_equal():
    def change(row):
        for name in [name for name in row if "/" in name]:
            del row[name]
        row["best/nll_val"] = 2.5 if row["optim.lr"] == 0.2 else 2.0

    axes = {"loss.name": ("cross_entropy", "nll"), "optim.lr": (0.1, 0.2)}
    assert "equal to the last digit: loss.name=nll" in plain(synthetic_table(axes, change=change))


def test_start_sentences(grid):
    assert "All 24 initial losses are what the settings promise" in plain(grid)
    # sqrt(1 + 3^2) = 3.16 times uniform at scale 3; 1.41 at 1
    assert re.search(
        r"8 runs of 24 start confident and wrong, at 3\.\d to 3\.\d times", plain(grid)
    )
    assert "all with init.weight_scale=3" in plain(grid)

    def change(row):
        row["init/loss_z"] = 9.0 if row["seed"] else 0.5

    assert "12 of 24 initial losses are" in plain(synthetic_table(GRID, change=change))


def test_strength_sentence_is_a_paired_difference(grid):
    # .05 * (.8 / (1 + 0) - .8 / (1 + 1)) = .02 better; gap .8 -> .4
    assert re.search(
        r"changes nll_calibrated/val by -0\.0(19|20|21) on average over 12 pairs", plain(grid)
    )
    assert "the final gap by -0.400" in plain(grid)


def test_where_losses_differ_the_calibrated_yardstick_decides():
    def change(row):
        hinge = row["loss.name"] == "hinge"
        row["nll_calibrated/val"] = row["best/nll_val"] - (0.5 if hinge else 0.0)

    text = plain(synthetic_table(GRID, change=change))
    assert re.search(r"by nll_calibrated/val: .* with init.weight_scale=1 loss.name=hinge", text)
    alone = synthetic_table(GRID | {"loss.name": ("cross_entropy",)})
    assert "by best/nll_val" in plain(alone)


def test_losses_that_cannot_be_compared_have_a_best_each():
    view = Swept(synthetic_table(GRID, drop=("nll_calibrated/val",)))
    words = " ".join(findings.best(view, {}))
    assert "Best of 6 configurations with cross_entropy by" in words
    assert "Best of 6 configurations with hinge by" in words
    assert "each loss apart" in reporttables.caption(view, reporttables.leaders(view))


def test_the_interval_of_strength_counts_seeds_not_runs():
    """Runs of one seed are not independent: 3 seeds of 12 settings are 3 units."""
    table = synthetic_table({**GRID, "seed": (0, 1, 2)})
    runs = table.runs.assign(strength=table.runs["reg.strength"].astype(float))
    keys = [k for k in table.varying_settings if not k.startswith("reg.")] + ["seed"]
    wide = runs.pivot_table("best/nll_val", keys, "strength").astype(float)
    change = (wide[1.0] - wide[0.0]).groupby("seed").mean()
    half = float(stats.t.ppf(0.975, len(change) - 1) * change.std() / len(change) ** 0.5)
    low, high = change.mean() - half, change.mean() + half
    assert f"(95 % interval over seeds {low:+.3f} to {high:+.3f}" in plain(table)


def test_verdicts_and_divergence_are_counted():
    def change(row):
        row["verdict"] = "overfit" if row["reg.strength"] == 0 else "fit"
        if row["init.weight_scale"] == 3.0:
            row["verdict"] = "diverged"

    text = plain(synthetic_table(GRID, change=change))
    assert "Verdicts: 8 fit, 8 overfit, 8 diverged." in text
    assert "8 of 24 runs diverged, all with init.weight_scale=3." in text


def test_a_diverged_configuration_is_never_the_best():
    def change(row):
        if row["optim.lr"] == 0.2:
            row |= {"verdict": "diverged", "best/nll_val": 1.0}

    view = Swept(synthetic_table({"optim.lr": (0.1, 0.2), "seed": (0, 1)}, change=change))
    assert findings.best(view, {})[0].startswith(
        "Best of 2 configurations by `best/nll_val`: **2.3"
    )
    assert reporttables.leaders(view)[-1]["verdict"] == "diverged"


def test_warnings_say_where_and_what_helps(grid):
    (wrong, some) = reporttables.start_warnings(Swept(grid))
    assert wrong["name"] == "Confident and wrong"
    assert wrong["count"] == "8 of 24 runs"
    assert wrong["where"] == "`init.weight_scale=3`"
    assert "init.output_scale" in wrong["advice"]
    assert some["count"] == "8 of 24 runs"  # scale 1: 1.41 times uniform


# what was swept


def test_influence_finds_the_cause():
    def change(row):
        row["nll_calibrated/val"] = 2.0 + (row["loss.name"] == "hinge")

    shares = Swept(synthetic_table(GRID, change=change)).influence
    assert shares["loss.name"] == pytest.approx(1.0)
    assert shares["init.weight_scale"] == 0.0


def test_explained_is_near_zero_for_noise():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(600)
    assert swept.explained(values, rng.integers(0, 6, 600)) < 0.02
    assert swept.explained(values, np.arange(600)) == 0.0  # a level a run says nothing


def test_levels_in_order():
    key = swept.key_of("optim.lr", [3.0, 0.1, 10, 0.1])
    assert key.labels == ("0.1", "3", "10")
    assert key.codes.tolist() == [1, 0, 2, 0]
    key = swept.key_of("model.hidden", [(64, 64), (), (64,)])
    assert key.labels == ("[64,64]", "[]", "[64]")
    assert not key.numeric
    assert swept.key_of("optim.embed_lr", [0.5, None, 0.1]).labels == ("null", "0.1", "0.5")


def test_hold_best_keeps_the_best_of_the_other_settings(grid):
    view = Swept(grid)
    mask, held = view.hold_best(["init.weight_scale"])
    assert held == {"loss.name": "cross_entropy", "reg.name": "l2", "reg.strength": "1"}
    assert mask.sum() == 6  # three scales, two seeds


def test_config_of_a_row_is_the_config(grid):
    row = grid.runs.iloc[-1].to_dict()
    run = swept.config_of(row)
    assert run.loss.name == "hinge"
    assert (run.init.weight_scale, run.reg.name, run.seed) == (3.0, "l2", 1)
    with pytest.raises(ConfigError):
        swept.config_of({**row, "init.weight_scale": -1.0})


# drawing


def test_labels_keep_their_distance():
    for places in ([0, 1, 2, 3], [50, 50, 50], [0, 0, 100, 100], [99, 99.5, 100]):
        out = style.spread_out(places, 10, 100)
        assert all(b - a > 9.9 for a, b in pairwise(out))
        assert out[0] >= -1e-9
        assert out[-1] <= 100 + 1e-9


@pytest.mark.parametrize(
    ("low", "high"), [(0.9, 1.1), (1e-4, 1e4), (3.0, 8.0), (0.037, 8.9), (2, 2.1)]
)
def test_log_ticks_are_few_and_inside(low, high):
    ticks = style.log_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert all(low * 0.99 <= tick <= high * 1.01 for tick in ticks)


def test_numbers_in_drawings_are_not_cut():
    with style.draw():
        figure, axes = style.canvas()
        axes.text(0.5, 0.5, "0.00123456")
    assert ">0.00123456<" in style.inline(figure, prefix="t-")


def test_number():
    assert [number(x) for x in (2.4123, 0.01234, 26.42, 0.0, 1234567.0)] == [
        "2.41", "0.0123", "26.4", "0", "1.2e+06",
    ]  # fmt: skip
    assert number(math.nan) == "-"


def test_plot_initial_loss(tmp_path, grid):
    path = expected.plot_initial_loss(
        tmp_path / "a.svg", losses=["cross_entropy", "mse"], scales=(0.1, 1.0, 10.0), table=grid
    )
    text = path.read_text(encoding="utf-8")
    assert "initial loss (nats/char)" in text
    assert "initial loss (squared error)" in text
    with pytest.raises(ConfigError, match="png"):
        expected.plot_initial_loss(tmp_path / "a.bmp")
    with pytest.raises(ConfigError, match="cross_entropy"):
        expected.plot_initial_loss(tmp_path / "a.svg", losses=["max_margin"])


def test_dots_belong_to_the_line():
    view = Swept(synthetic_table({**GRID, "init.bias": ("zero", "normal")}))
    run = swept.config_of(view.runs.iloc[-1].to_dict())
    kept = expected._alike(view, run)
    assert set(kept["init.bias"]) == {"normal"}
    assert set(kept["init.weight_scale"]) == {0.1, 1.0, 3.0}
    assert set(kept["loss.name"]) == {"cross_entropy", "hinge"}


def test_expected_curve_rises_with_the_scale():
    from harness.config.run import RunConfig

    values = expected.expected_over(RunConfig(), "init.weight_scale", [0.01, 1.0, 10.0])
    assert values[0] == pytest.approx(math.log(27), abs=1e-3)  # equal logits over 27 symbols
    assert values[0] < values[1] < values[2]


def test_plot_coordinates(tmp_path):
    rows = [
        {"width": w, "depth": d, "layer": layer, "step": s, "std": 0.5 + 0.1 * s}
        for w in (32, 64, 128) for d in (1, 3) for s in (0, 4)
        for layer in [f"hidden.{i}" for i in range(d)] + ["output"]
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    text = coordinates.plot_coordinates(table, tmp_path / "c.svg").read_text(encoding="utf-8")
    for words in ("width (units a hidden layer)", "depth (hidden layers)", "step 4", "hidden.2"):
        assert words in text
    with pytest.raises(ConfigError, match="std"):
        coordinates.plot_coordinates(table.drop(columns="std"), tmp_path / "c.svg")
    with pytest.raises(ConfigError, match="varies"):
        coordinates.plot_coordinates(
            table[(table["width"] == 32) & (table["depth"] == 1)], tmp_path / "c.svg"
        )


def test_write_says_where_it_cannot(tmp_path, grid):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(HarnessError, match="cannot be written"):
        report.write(grid, blocked / "report.html")


# publishing


def test_publish_writes_the_file_and_says_what_mlflow_lacks(tmp_path, monkeypatch, capsys, grid):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(publishing, "read_sweep", lambda *_, **__: grid)
    assert publishing.publish([]) == 0
    told = capsys.readouterr()
    assert told.out == "report-01234567.html\n"
    assert "not among the artifacts in MLflow: there is no MLflow store at" in told.err
    assert (tmp_path / "report-01234567.html").read_text("utf-8").startswith("<!doctype html>")
    assert not (tmp_path / "mlflow.db").exists()  # reading creates nothing


def test_publish_refuses_a_folder(tmp_path, monkeypatch, grid):
    monkeypatch.setattr(publishing, "read_sweep", lambda *_, **__: grid)
    with pytest.raises(ConfigError, match=r"report\.html"):
        publishing.publish([], str(tmp_path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own, of SQLAlchemy and pandas
def test_report_stands_on_the_parent_and_is_the_same_without_a_ledger(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    from harness.cli.main import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    axes = ["init.weight_scale=0.3,3", "seed=0,1"]
    small = ["data.fraction=0.02", "model.hidden=[8]", "train.steps=20", "engine.workers=1"]
    assert run(["sweep", *axes, *small, "--quiet"]) == 0
    assert run(["report", "-o", "a.html"]) == 0
    (tmp_path / "runs").rename(tmp_path / "away")
    assert run(["report", "-o", "b.html"]) == 0
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    parents = client.search_runs(["1"], "tags.`harness.kind` = 'sweep'")
    assert "report.html" in {f.path for f in client.list_artifacts(parents[0].info.run_id)}
    mine, theirs = ((tmp_path / n).read_text("utf-8") for n in ("a.html", "b.html"))
    part = re.compile("What it shows.*?Data and environment", re.DOTALL)
    assert part.search(mine)[0] == part.search(theirs)[0]
