"""Every python block of README.md and docs/*.md runs, in order, and prints what is shown.

A line `print(...)  # 3.2958` must print that text. Blocks of one file share their names, so a page
reads as one session.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if p.is_file()]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page):
    """(first line, source) of each python block."""
    text = page.read_text(encoding="utf-8")
    return [(text[: m.start()].count("\n") + 2, m[1]) for m in BLOCK.finditer(text)]


def shown(source):
    """What the print lines of a block promise, one a line."""
    lines = [line for line in source.splitlines() if line.lstrip().startswith("print(")]
    return [line.rsplit("  # ", 1)[1].strip() for line in lines if "  # " in line], len(lines)


def run(page, names):
    for line, source in blocks(page):
        out = io.StringIO()
        code = compile("\n" * (line - 1) + source, str(page), "exec")
        with contextlib.redirect_stdout(out):
            exec(code, names)
        promised, printing = shown(source)
        if promised:
            assert len(promised) == printing, f"{page.name}:{line}: some prints show no result"
            assert out.getvalue().splitlines() == promised, f"{page.name}:{line}"


@pytest.mark.parametrize(
    "page",
    [
        # a README may train for a second or two; pages on theory are quick
        pytest.param(p, marks=pytest.mark.slow if p.name == "README.md" else (), id=p.name)
        for p in PAGES
    ],
)
def test_python_blocks_of_the_docs_run(page, tmp_path, monkeypatch):
    if not blocks(page):
        pytest.skip(f"{page.name} has no python block")
    monkeypatch.chdir(tmp_path)
    run(page, {"__name__": "docs"})


def test_every_link_leads_somewhere():
    pages = [*PAGES, *ROOT.glob("experiments/**/*.md"), ROOT / "CHANGELOG.md"]
    links = [
        (page, target) for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in target
    ]  # fmt: skip
    assert len(links) > 50
    assert [link for link in links if not (link[0].parent / link[1]).exists()] == []


def test_a_wrong_result_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)  # 3\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page\.md:2"):
        run(page, {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_test_that_a_page_names_is_there(page):
    named = set(re.findall(r"\btests/[\w/]+\.py\b", page.read_text(encoding="utf-8")))
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []
