"""The notebook runs from top to bottom, and what it says of its numbers is so."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "first-steps.ipynb"


def cells():
    """The sources of its code cells, in order."""
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(one["source"]) for one in found if one["cell_type"] == "code"]


def shown(value):
    """What a notebook shows of a value: the richest of its forms."""
    for form in ("_repr_png_", "_repr_html_"):
        if hasattr(value, form):
            return form, getattr(value, form)()
    return "repr", repr(value)


def test_it_is_kept_without_results_of_a_run():
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert found["nbformat"] == 4
    assert [one for one in found["cells"] if one.get("outputs") or one.get("execution_count")] == []
    ids = [one["id"] for one in found["cells"]]
    assert len(ids) == len(set(ids)) > 20
    linked = " ".join("".join(one["source"]) for one in found["cells"])
    for page in ("initial-loss.md", "comparing.md", "sweeps.md", "plugins.md"):
        assert f"]({page})" in linked and (NOTEBOOK.parent / page).is_file()


@pytest.mark.slow
def test_it_runs_and_what_it_says_is_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "notebook"}
    seen: list[tuple[str, object]] = []
    for number, source in enumerate(cells()):
        body = ast.parse(source, filename=f"{NOTEBOOK.name}, code cell {number}").body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), f"code cell {number}", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"code cell {number}", "eval"), names)
            form, content = shown(value)
            seen.append((form, value))
            assert len(content) < (200_000 if form == "_repr_png_" else 6000), source
    assert [form for form, _ in seen].count("_repr_png_") == 5
    assert [form for form, _ in seen].count("_repr_html_") >= 4  # data, config, record, comparison
    assert "equal logits: 3.30 nats" in capsys.readouterr().out

    promised, records = names["promised"], names["records"]
    assert promised.expected > 2 * promised.uniform  # wrong with confidence
    for one in records:
        assert abs(one.summary["init/loss_z"]) < 4  # starts keep their promise
    free, held = names["free"], names["held"]
    assert (free.config.reg.strength, held.config.reg.strength) == (0, 30)
    assert free.summary["gap/nll"] > 1.5 * held.summary["gap/nll"]
    assert held.summary["nll/val"] < free.summary["nll/val"]  # validation gains,
    assert held.summary["nll/train"] > free.summary["nll/train"]  # what training loses
    assert {one.place for one in names["words"]} <= {"train", "unused", "val", "test", "new"}
    assert (tmp_path / "runs").is_dir() and not (tmp_path / "mlflow.db").exists()
