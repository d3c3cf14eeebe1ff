"""The list of components: every one once, its origin, and broken plug-ins named in their line."""

import json

import pytest

from harness.cli.component_list import lines, listed
from harness.cli.main import run
from harness.components import REGISTRIES
from harness.errors import ConfigError
from tests.support.packages import make_package
from tests.support.strange import FOCAL


def test_every_component_is_listed_once_with_a_line_about_it():
    rows = [row for row in listed(None) if row["origin"] == "harness"]
    names = [(row["kind"], row["name"]) for row in rows]
    assert len(names) == len(set(names)) and {kind for kind, _ in names} <= set(REGISTRIES)
    assert {name for kind, name in names if kind == "losses"} >= {"mse", "squentropy"}
    assert all(row["summary"] for row in rows if row["kind"] != "metrics")


def test_plugins_say_where_they_come_from_and_what_is_wrong(tmp_path, monkeypatch):
    make_package(
        tmp_path, "listed-losses",
        modules={"listed_focal.py": FOCAL, "listed_broken.py": "import nothing_of_that_name"},
        entries={
            "harness.losses:listed_focal": "listed_focal:SPEC",
            "harness.losses:listed_broken": "listed_broken:SPEC",
        },
    )  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    by = {row["name"]: row for row in listed("losses")}
    assert by["listed_focal"]["origin"] == "listed-losses 1.0"
    assert by["listed_focal"]["params"] == {"gamma": 2.0}
    assert "ModuleNotFoundError" in by["listed_broken"]["error"]
    text = "\n".join(lines(list(by.values()), 200))
    assert "grows likely (gamma=2.0) [listed-losses 1.0]" in text and "listed_broken" in text


def test_the_list_fits_a_terminal_of_80_columns_and_breaks_no_word():
    out = lines(listed(None))
    assert max(map(len, out)) <= 80
    told = " ".join(" ".join(out).split())
    for row in listed(None):
        assert f"{row['name']} {' '.join(row['summary'].split())}".rstrip() in told


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'losses'"):
        listed("loses")


def test_the_verb(capsys):
    assert run(["components", "schedules", "--json"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} >= {"step", "cosine"}
    assert run(["components", "schedules"]) == 0
    assert capsys.readouterr().out.startswith("schedules\n")
