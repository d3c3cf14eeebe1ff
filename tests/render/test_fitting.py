"""Tables at 80 columns: whole words, and every column that was asked for."""

import io
import re

import pytest
from rich.console import Console
from rich.table import Table

from harness.render import console, screen
from harness.render.fitting import blocks, fit, fits
from harness.render.printed import compare
from tests.support.synthetic_sweep import synthetic_table

LOSSES = ["cross_entropy", "crammer_singer", "hinge", "brier", "bce", "mse"]


def printed(table, width):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, color_system=None).print(table)
    return out.getvalue()


def made(rows, heads):
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def test_words_stay_whole_where_their_columns_fit():
    rows = [
        [
            "0123456789abcdef",
            "2026-11-25 09:33",
            "weight_scale, loss, strength",
            "harness",
            "a remark of very many words that has to be wrapped in any case, on several lines",
        ]
    ]
    heads = ["sweep or run", "created", "what varies", "experiment", "words"]
    table = fit(made(rows, heads), 72)
    text = printed(table, 72)
    assert max(map(len, text.splitlines())) <= 72
    for word in " ".join([*rows[0], *heads]).split():
        assert re.search(rf"(^|\s){re.escape(word)}(\s|$)", text), word


def test_a_table_with_room_is_left_alone():
    table = made([["a", "b c"]], ["x", "y"])
    assert printed(fit(table, 40), 40) == printed(made([["a", "b c"]], ["x", "y"]), 40)


def test_what_cannot_fit_is_known():
    assert not fits(made([["a" * 30, "b" * 30]], ["", ""]), 50)
    assert fits(made([["a" * 20, "b" * 20]], ["", ""]), 50)


def test_columns_are_dealt_to_blocks():
    assert blocks(10, [20, 20, 20], 50) == [[0, 1], [2]]
    assert blocks(40, [20, 20, 20], 50, later=10) == [[0], [1, 2]]
    assert blocks(60, [20, 20], 50) == [[0], [1]]  # one at least
    assert blocks(10, [], 50) == []


@pytest.fixture(scope="module")
def table():
    axes = {"loss.name": LOSSES, "reg.strength": [0.0, 1e-5, 0.1], "seed": [0, 1, 2]}
    return synthetic_table(axes)


def test_a_pivot_keeps_its_words_and_its_columns(table):
    text = compare(table, by=["reg.strength", "loss.name"]).text(80)
    assert max(map(len, text.splitlines())) <= 80
    for loss in LOSSES:
        assert re.search(rf"\s{loss}(\s|$)", text), loss
    numbers = re.findall(r"\d\.\d{4} ±\d\.\d{4}", text)
    assert len(numbers) == len(LOSSES) * 3  # no cell is wrapped either


def test_named_metrics_are_all_there(table):
    names = [
        "best/nll_val",
        "nll/val",
        "nll/train",
        "gap/nll",
        "accuracy/val",
        "weights/norm",
        "penalty",
        "loss/val",
        "init/loss_z",
    ]
    text = compare(table, by="loss.name", metrics=names).text(80)
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    for name in names:
        assert (
            name in flat
            or name.replace("/", " /") in flat
            or all(part in flat for part in name.split("/"))
        ), name
    rows = [line for line in text.splitlines() if line.startswith("crammer_singer")]
    assert sum(len(re.findall(r"±", row)) for row in rows) == len(names)


def row(place):
    own = {
        "loss.name": "crammer_singer", "init.scheme": "orthogonal", "reg.name": "weight_decay",
        "reg.strength": 0.00012345, "optim.name": "momentum", "optim.schedule": "constant",
        "model.activation": "relu", "init.output_bias": "log_unigram", "optim.lr": 0.001 * place,
    }  # fmt: skip
    return own | {
        "run_id": f"{place:016x}", "config_id": f"c{place}", "seed": 0, "verdict": "memorising",
        "nll_calibrated/val": 2.0 + place, "best/nll_val": 2.0 + place, "gap/nll": 0.1,
        "nll/train": 1.5, "nll/val": 2.1 + place,
    }  # fmt: skip


def test_a_leaderboard_of_many_settings(capsys, monkeypatch):
    monkeypatch.setattr(screen, "WIDTH", 80)
    monkeypatch.delenv("COLUMNS", raising=False)
    rows = [row(i) for i in range(1, 4)]
    varying = [key for key in rows[0] if "." in key]
    console.leaderboard(rows, varying)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for word in ("loss=crammer_singer", "reg=weight_decay", "output_bias=log_unigram"):
        assert out.count(word) == 3, word
    assert out.count("memorising") == 3
