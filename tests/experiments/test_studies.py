"""Every study: its README quotes what its rows say, and at a tenth it points the same way."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest

from experiments import __main__
from experiments.lab import BEGIN, DIGITS, END, HERE, Lab, load, quoted, rows_of, studies
from harness.errors import ConfigError

NAMES = list(studies())
HEADINGS = ["Question", "Prediction (written before the run)", "Command", "Verdict",
            "What it does not show"]  # fmt: skip


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_the_readme_quotes_the_rows(name):
    folder = studies()[name]
    readme = (folder / "README.md").read_text()
    block = quoted(load(name), rows_of(folder))
    assert readme.count(block) == 1
    assert re.findall("^## (.*)$", readme, re.MULTILINE) == HEADINGS
    assert f"python -m experiments {name}" in readme
    assert readme.index("## Verdict") < readme.index(BEGIN) < readme.index(END)


def test_every_decimal_of_the_verdict_is_one_of_the_rows(name):
    readme = (studies()[name] / "README.md").read_text()
    verdict = readme.partition("## Verdict")[2].partition("## What it does not show")[0]
    before, _, rest = verdict.partition(BEGIN)
    block, _, after = rest.partition(END)
    assert set(re.findall(r"\d*\.\d+", before + after)) <= set(re.findall(r"\d*\.\d+", block))


def test_the_log_names_every_study_newest_first():
    log = (HERE / "LOG.md").read_text()
    places = {name: log.index(f"]({folder.name}/README.md)") for name, folder in studies().items()}
    dated = sorted(places, key=places.__getitem__)
    months = [studies()[name].name[:7] for name in dated]
    assert months == sorted(months, reverse=True)


def test_an_unknown_study_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match=r"allowed: .*Did you mean 'rates'"):
        load("rate")


def test_a_study_that_runs_alone_is_left_out_and_told(capsys, monkeypatch):
    trained = []
    monkeypatch.setattr(__main__, "study", lambda name, *_: trained.append(name))
    assert __main__.main([]) == 0
    alone = [name for name in NAMES if hasattr(load(name), "ALONE")]
    assert "loss-log" in alone and sorted(trained) == sorted(set(NAMES).difference(alone))
    said = capsys.readouterr().err
    assert all(f"left out: {name} ({load(name).ALONE})" in said for name in alone)
    assert __main__.main(["loss-log"]) == 0 and trained[-1] == "loss-log"


@pytest.mark.slow
def test_at_a_tenth_it_points_the_same_way(name, tmp_path):
    module = load(name)
    assert module.SMALL
    lab = Lab(name, tmp_path / "runs", small=module.SMALL, extra=("tracking=off",))
    text = module.results(lab).to_csv(index=False, float_format=DIGITS)
    rows = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])
    if hasattr(module, "draw"):
        module.draw(rows, lab, tmp_path)
        assert list(tmp_path.glob("*.svg"))
    module.table(rows)
    held = {one.said: one.held for one in module.claims(rows) if one.direction}
    full = [one.held for one in module.claims(rows_of(studies()[name])) if one.direction]
    assert held
    assert list(held.values()) == full, held
