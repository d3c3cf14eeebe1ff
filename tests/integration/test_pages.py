"""MLflow's pages over a real sweep, in a real browser: what a user would click through."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest

from tests.support.browser import Browser, chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="needs Chromium, which this machine lacks"),
]
ROOT = Path(__file__).resolve().parents[2]
GRID = [
    "loss=cross_entropy,brier", "init.weight_scale=0.3,3", "seed=0,1", "data.fraction=0.1",
    "model.hidden=[32]", "train.steps=600",
]  # fmt: skip
TRAINING = "?workflowType=machine_learning"


def environment(folder: Path) -> dict[str, str]:
    keep = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    return keep | {"PYTHONPATH": str(ROOT), "HOME": str(folder)}


def harness(folder: Path, *words: str) -> str:
    """Run one command to its end; its stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words], cwd=folder, env=environment(folder),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """(address, parent, children) of `harness ui` over a sweep made by the command line."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("sweep")
    harness(folder, "sweep", *GRID)
    harness(folder, "report")
    runs = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_runs(["1"])
    (parent,) = [run for run in runs if run.data.tags["harness.kind"] == "sweep"]
    children = [run for run in runs if run.data.tags["harness.kind"] == "run"]
    log = (folder / "ui.log").open("w+")
    server = subprocess.Popen(
        [sys.executable, "-m", "harness", "ui"], cwd=folder, env=environment(folder),
        stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    try:
        yield address(server, folder / "ui.log"), parent, children
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
        log.close()


def address(server: subprocess.Popen, log: Path) -> str:
    """What `harness ui` prints: the address to open."""
    until = time.monotonic() + 150
    while time.monotonic() < until and server.poll() is None:
        found = re.search(r"MLflow's pages: (http://127\.0\.0\.1:\d+)/", log.read_text())
        if found:
            return found[1]
        time.sleep(0.3)
    pytest.fail(f"no pages: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def page(site, tmp_path_factory):
    """A browser that has closed MLflow's assistant, which covers a part of every page."""
    browser = Browser(tmp_path_factory.mktemp("profile"), width=1400, height=860)
    try:
        browser.open(f"{site[0]}/#/experiments{TRAINING}")
        browser.wait_text("harness")
        for key, value in (("panelOpen_v1", "false"), ("fab.autoOpenedOnFirstLoad_v1", "true")):
            browser.js(f"localStorage.setItem('mlflow.assistant.{key}', '{value}')")
        browser.open("about:blank")
        yield browser
        asked = [url for url in browser.requests if url.startswith("http")]
        assert [url for url in asked if not url.startswith(site[0])] == []  # nobody else was asked
        assert browser.errors == []
    finally:
        browser.close()


def picture(page: Browser, name: str) -> None:
    """Keep a picture for the documentation where HARNESS_PICTURES names a folder."""
    folder = os.environ.get("HARNESS_PICTURES")
    if folder:
        page.rest(2)
        page.picture(Path(folder) / f"{name}.png")


EXPANDER = "document.querySelector('.ag-row button[data-component-id*=runnamecell]')"


def open_runs(page: Browser, base: str, parent, children, query: str = "") -> None:
    """Go to the experiment's runs and open the sweep, so that its children are listed."""
    page.open(f"{base}/#/experiments/1/runs{TRAINING}{query}")
    page.wait_text("initial loss and overfitting, compared", parent.info.run_name)
    names = json.dumps([run.info.run_name for run in children])
    listed = "[...document.querySelectorAll('.ag-row a')].map(a => a.innerText.trim())"
    count = f"{listed}.filter(name => {names}.includes(name)).length"
    page.rest(2)
    if page.js(count) == 0:
        page.click(EXPANDER, "a + to open the sweep with")
    page.wait(f"{count} === {len(children)}", f"{len(children)} runs under the sweep")


def search_charts(page: Browser, words: str) -> None:
    """Show only the charts whose metric has these words in its name."""
    page.click("document.querySelector('input[placeholder=\"Search metric charts\"]')", "a search")
    page.send("Input.insertText", text=words)


def test_children_stand_under_their_sweep(site, page):
    """The experiment lists the sweep; opening it lists each child, and the model at the best."""
    base, parent, children = site
    assert len({run.info.run_name for run in children}) == 8
    open_runs(page, base, parent, children)
    page.wait_text("model", "census")
    picture(page, "mlflow-runs")


def test_a_run_shows_settings_numbers_and_curves(site, page):
    base, parent, children = site
    best = next(r for r in children if r.info.run_id == parent.data.tags["harness.best_run"])
    page.open(f"{base}/#/experiments/1/runs/{best.info.run_id}{TRAINING}")
    page.wait_text(best.info.run_name, parent.info.run_name, "Metrics (", "Parameters (", "census")
    page.wait_text(f"harness reproduce {best.data.tags['harness.run_id']}", "harness.verdict")
    assert "loss/train" in page.text()
    picture(page, "mlflow-run")
    page.open(f"{base}/#/experiments/1/runs/{best.info.run_id}/model-metrics{TRAINING}")
    page.wait_text("accuracy")
    search_charts(page, "nll/")
    # curves of 21 points, at step 0 and every 30 steps, for train and val; one bar for test
    points = "[...document.querySelectorAll('.scatterlayer')]"
    points += ".map(layer => layer.querySelectorAll('.point').length)"
    page.wait(f"{points}.filter(n => n === 21).length === 2", "two curves of 21 points")
    page.wait("document.querySelectorAll('.barlayer .point').length === 1", "one bar")


def test_runs_compare_as_charts(site, page):
    """Filtered by tag and setting, four runs lie over one another in each chart."""
    base, parent, children = site
    words = urllib.parse.quote("tags.\"harness.kind\" = 'run' and params.seed = '0'")
    some = [run for run in children if run.data.params["seed"] == "0"]
    open_runs(page, base, parent, some, f"&compareRunsMode=CHART&searchFilter={words}")
    page.wait_text("accuracy")
    search_charts(page, "nll/")
    lines = "[...document.querySelectorAll('.scatterlayer')]"
    lines += ".map(layer => new Set([...layer.querySelectorAll('.js-line')].map("
    lines += "line => line.getAttribute('d'))).size)"
    page.wait(f"{lines}.filter(n => n === 4).length >= 2", "curves of four runs")
    page.wait("document.querySelectorAll('.barlayer .point').length === 4", "bars of four runs")
    picture(page, "mlflow-charts")


def test_two_runs_compare_side_by_side(site, page):
    base, parent, children = site
    open_runs(page, base, parent, children, "&compareRunsMode=TABLE&searchFilter=")
    pair = [run for run in children if run.data.params["seed"] == "0"][:2]
    for run in pair:
        row = f"find(r => r.innerText.includes({json.dumps(run.info.run_name)}))"
        row = f"[...document.querySelectorAll('.ag-row')].{row}"
        box = f"{row}?.querySelector('input[type=checkbox]')"
        page.click(box, "a box to tick")
        page.wait(f"{box}?.checked", f"tick before {run.info.run_name}")
    page.click_text("Compare", "button, a")
    page.wait_text("Comparing 2 Runs", *(run.info.run_name for run in pair), "init.weight_scale")
    # settings and numbers of both, as MLflow rounds them
    page.wait_text("init.weight_scale", "best/nll_val")
    page.wait_text(*(f"{round(run.data.metrics['best/nll_val'], 3):g}" for run in pair))


def test_the_report_opens_from_the_artifacts(site, page):
    """The report is shown inside the page: its own text, its own figures."""
    base, parent, _ = site
    page.open(f"{base}/#/experiments/1/runs/{parent.info.run_id}{TRAINING}")
    page.click_text("Artifacts", "[role=tab], a, button")
    page.click_text("report.html", "span, div, a")
    page.wait("!!document.querySelector('iframe')?.src", "the report's frame")
    source = page.js("document.querySelector('iframe').src")
    page.js(f"fetch('{source}').then(r => r.text()).then(t => {{ window.report = t }}) && 0")
    page.wait("!!window.report", "the report's text")
    report = page.js("window.report")
    assert parent.data.tags["harness.sweep_id"][:8] in report
    assert "<svg" in report or "data:image" in report
    picture(page, "mlflow-report")
