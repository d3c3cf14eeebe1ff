"""What a search and a confirmation look like in a report, in `compare` and to MLflow."""

import json
import re

import pytest

from harness.analysis.choices import about_search, confirmations, history
from harness.analysis.comparison import compare
from harness.records.manifests import new_sweep
from harness.records.searches import Study, Trial
from harness.render.report import build
from harness.tracking import choices
from tests.support.synthetic_sweep import synthetic_table

RATES = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
VALUES = [2.9, 2.6, float("inf"), 2.5, 2.7, 2.4]
LR = {"key": "optim.lr", "choices": [], "low": 0.01, "high": 3.0, "step": None, "log": True}
LOSS = {"key": "loss", "choices": ["mse", "bce"], "low": 0, "high": 1, "step": None, "log": False}


def study(dimensions=(LR, LOSS)):
    trials = [
        Trial({"optim.lr": rate, "loss": ("mse", "bce")[i % 2]}, [f"{i:016x}"], value)
        for i, (rate, value) in enumerate(zip(RATES, VALUES, strict=True))
    ]
    return Study(
        name="s", path=None, metric="best/nll_val", sweep_id="0123456789abcdef",
        batches=[trials[:3], trials[3:]], dimensions=dimensions,
        importances={"optim.lr": 0.75, "loss": 0.25},
    )  # fmt: skip


def test_a_study_is_the_same_after_it_was_kept():
    plain = json.loads(json.dumps(study().to_plain(), sort_keys=True))
    again = Study.from_plain(plain)
    assert again.batches == study().batches
    assert list(again.importances) == ["optim.lr", "loss"]  # the most important first


def test_a_study_of_an_earlier_version_is_read():
    plain = study().to_plain()
    del plain["dimensions"], plain["importances"]
    assert Study.from_plain(plain).best().params["optim.lr"] == 3.0


def test_history_of_the_best():
    found = study()
    assert found.best_so_far() == [2.9, 2.6, 2.6, 2.5, 2.5, 2.4]
    assert history(found) == "2.6000 after 3 trials, 2.4000 after 6"
    zero = Study(name="z", path=None, batches=[[Trial({}, [], 0.0), Trial({}, [], 1.0)]])
    assert zero.best_so_far() == [0.0, 0.0]


@pytest.fixture(scope="module")
def searched():
    table = synthetic_table({"optim.lr": RATES})
    table.meta["search"] = study().to_plain()
    return table


def test_compare_says_what_the_search_found_and_that_it_is_biased(searched):
    told = " ".join(compare(searched).remarks)
    assert "2.4000 after 6" in told
    assert "optim.lr 75%, loss 25%" in told
    assert "best of 6 trials flatters itself" in told and "`harness confirm 01234567`" in told


def test_report_draws_history_importance_and_slices(searched):
    page = build(searched)
    assert 'id="search-history"' in page and 'id="search-slices"' in page
    slices = page[page.index('id="search-slices"') :]
    slices = slices[: slices.index("</figure>")]
    assert re.findall(r"<h4>(.*?)</h4>", slices) == [
        "lr: 75% of the variance", "loss: 25% of the variance",
    ]  # fmt: skip
    assert "1 trials diverged" not in page and "1 trial diverged" in page
    assert "harness confirm 01234567" in page
    assert 'id="settings"' not in page  # slices show the same


def test_report_of_a_search_without_what_later_versions_keep():
    table = synthetic_table({"optim.lr": RATES})
    plain = study().to_plain()
    del plain["dimensions"], plain["importances"]
    table.meta["search"] = plain
    page = build(table)
    assert 'id="search-history"' in page and 'id="search-slices"' not in page


def test_a_search_of_which_every_trial_diverged():
    table = synthetic_table({"optim.lr": RATES})
    lost = study()
    for trial in lost.trials:
        trial.value = float("inf")
    table.meta["search"] = lost.to_plain()
    assert about_search(table) == ["Search: none of 6 trials has a finite best/nll_val."]
    assert 'id="search-history"' not in build(table)


@pytest.fixture(scope="module")
def fresh():
    """Two configurations on three seeds each: what the choice promised is .1 too good."""

    def test_split(row):
        row["nll/test"] = row["best/nll_val"] + 0.25

    table = synthetic_table({"optim.lr": [0.1, 0.3], "seed": [5, 6, 7]}, change=test_split)
    means = table.runs.groupby("config_id", sort=False)["best/nll_val"].mean()
    table.meta["confirms"] = {
        "metric": "best/nll_val",
        "configurations": 40,
        "sweep_id": "fedcba9876543210",
        "chosen": [{"config_id": c, "value": v - 0.1, "n": 2} for c, v in means.items()],
    }
    return table, means


def test_report_of_a_confirmation(fresh):
    table, means = fresh
    page = build(table)
    part = page[page.index("<h2>On fresh seeds</h2>") :]
    rows = re.findall(r"<tr><td.*?</tr>", part[: part.index("</section>")])
    assert len(rows) == 2
    for row, mean in zip(rows, means, strict=True):
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
        assert cells[2] == f"{mean - 0.1:.4f}"
        assert cells[3].startswith(f"{mean:.4f} ±") and cells[4] == "3"
        assert cells[5] == "+0.1000"
        assert cells[6].startswith(f"{mean + 0.25:.4f} ±")
    assert "best of 40 configurations" in part and "fedcba98" in part
    assert [one.rank for one in confirmations(table)] == [1, 2]
    assert "<h2>On fresh seeds</h2>" not in build(synthetic_table({"optim.lr": RATES}))


def test_mlflow_is_told_the_history_and_the_importance():
    points = choices.search_points(study(), 1000)
    best = {step: value for name, value, _, step in points if name == "search/best"}
    assert best == {1: 2.9, 2: 2.6, 3: 2.6, 4: 2.5, 5: 2.5, 6: 2.4}
    values = {step for name, _, _, step in points if name == "search/value"}
    assert values == {1, 2, 4, 5, 6}  # the third diverged: absent, not inf
    assert ("search/importance/optim.lr", 0.75, 1000, 0) in points
    told = json.loads(choices.search_tags(study())[choices.SEARCHED])
    assert told["trials"] == 6 and told["best"] == 2.4
    [found] = choices.search_files(study()).values()
    assert Study.from_plain(json.loads(found)).batches == study().batches
    assert choices.search_tags(None) == {} and choices.search_points(None, 0) == []


def test_mlflow_is_told_of_optimism_by_rank(fresh):
    table, means = fresh
    from dataclasses import replace

    sweep = replace(new_sweep({}), confirms=table.meta["confirms"])
    points = choices.confirm_points(sweep, table.rows())
    found = {(name, step): value for name, value, _, step in points}
    assert found["confirm/optimism", 1] == pytest.approx(0.1)
    assert found["confirm/fresh", 2] == pytest.approx(means.iloc[1])
    assert found["confirm/test", 1] == pytest.approx(means.iloc[0] + 0.25)
    words = "\n".join(choices.paragraphs(sweep, None, table.rows()))
    assert "| 1 |" in words and "+0.1000" in words
