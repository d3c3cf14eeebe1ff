"""The report on paper: what the main job's shape prints to, by a real browser."""

import base64

import pytest

from harness.render.report import build
from tests.support.browser import Browser, chromium
from tests.support.synthetic_sweep import synthetic_table

AXES = {
    "loss.name": ["cross_entropy", "brier", "bce", "mse", "hinge", "crammer_singer"],
    "init.weight_scale": [0.1, 0.3, 1.0, 3.0], "reg.strength": [0.0, 0.1, 1.0, 10.0, 100.0],
    "seed": [0, 1, 2],
}  # fmt: skip


def calibrated(row):
    row["best/nll_calibrated_val"] = row["nll/test"] = row["best/nll_val"]


A4 = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}  # inches


@pytest.mark.skipif(chromium() is None, reason="no Chromium here")
def test_360_runs_print_to_eight_pages_and_no_table_leaves_the_paper(tmp_path):
    page = tmp_path / "report.html"
    page.write_text(build(synthetic_table(AXES, change=calibrated)))
    browser = Browser(tmp_path / "profile", width=718, height=1000)  # A4 less its margins
    try:
        browser.send("Emulation.setEmulatedMedia", media="print")
        browser.open(page.as_uri())
        browser.wait("!!document.querySelector('table.lead')", "leaderboard")
        wide = browser.js(
            "[...document.querySelectorAll('table')].filter("
            "e => e.getBoundingClientRect().right > e.parentElement.getBoundingClientRect().right"
            " + 1).map(e => e.className || e.innerText.slice(0, 40))"
        )
        heights = browser.js(
            "[...document.querySelectorAll('.lead .chosen')].map("
            "e => e.getBoundingClientRect().height)"
        )
        printed = browser.send("Page.printToPDF", **A4)
    finally:
        browser.close()
    assert wide == []
    assert max(heights) < 80  # CSS pixels: a settings cell of a few lines, no letter a line
    pdf = base64.b64decode(printed["data"])
    pages = pdf.count(b"/Type /Page\n") or pdf.count(b"/Type /Page") - pdf.count(b"/Type /Pages")
    assert 1 <= pages <= 8
