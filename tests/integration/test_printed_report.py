"""The report of the main job's shape in a real browser: on paper, and under the pointer."""

import base64
import json

import pytest

from harness.render.report import build
from tests.support.browser import Browser, chromium
from tests.support.synthetic_sweep import synthetic_table, with_insides

AXES = {
    "loss.name": ["cross_entropy", "brier", "bce", "mse", "hinge", "crammer_singer"],
    "init.weight_scale": [0.1, 0.3, 1.0, 3.0], "reg.strength": [0.0, 0.1, 1.0, 10.0, 100.0],
    "seed": [0, 1, 2],
}  # fmt: skip


def calibrated(row):
    row["best/nll_calibrated_val"] = row["nll/test"] = row["best/nll_val"]


A4 = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}  # inches


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium here"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    text = build(with_insides(synthetic_table(AXES, change=calibrated)))
    assert 'id="insides"' in text and 'id="insides-start"' in text
    path.write_text(text)
    return path


def test_360_runs_print_to_eight_pages_and_no_table_leaves_the_paper(page, tmp_path):
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


SVG = "document.querySelector('#{} .panel svg')"
LONELY = """(() => {
  const svg = %s, told = JSON.parse(document.getElementById('told').textContent);
  svg.scrollIntoView({block: 'center'});
  const marks = told.panels[svg.closest('.panel').dataset.panel], n = marks.of.length;
  const room = (i) => Math.min(...[...Array(n).keys()].filter((j) => j !== i).map(
    (j) => Math.hypot(...[0, 1].map((k) => marks.at[2 * i + k] - marks.at[2 * j + k]))));
  const i = [...Array(n).keys()].reduce((a, b) => room(b) > room(a) ? b : a);
  const at = new DOMPoint(marks.at[2 * i] / 10, marks.at[2 * i + 1] / 10)
    .matrixTransform(svg.getScreenCTM());
  return [at.x, at.y, marks.value[i], ...told.runs[marks.of[i]]];
})()"""  # where the mark is that is farthest from all others, and what it must tell


def point(browser, x, y, *, click=False):
    for kind in ["mouseMoved", *["mousePressed", "mouseReleased"] * click]:
        browser.send(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if click else "none",
            clickCount=int(click and kind != "mouseMoved"),
        )  # fmt: skip


def aim(browser, figure):
    """Point at a mark until it is told: (x, y, settings, number of runs, ids)."""
    for _ in range(100):  # the first frames after scrolling may still be those before it
        x, y, value, settings, n, ids = browser.js(LONELY % SVG.format(figure))
        point(browser, x + 1, y + 1)
        words = browser.js("document.getElementById('tip').innerText")
        if settings in words and value in words and ids[0][:8] in words:
            return x + 1, y + 1, settings, n, ids
        browser.rest(0.1)
    raise AssertionError(f"{figure}: {words!r} tells neither {value} nor {settings}")


def press(browser, *keys):
    for key in keys:
        for kind in ("keyDown", "keyUp"):
            browser.send("Input.dispatchKeyEvent", type=kind, key=key)


def copied(browser):
    got = browser.send(
        "Runtime.evaluate", expression="navigator.clipboard.readText()", awaitPromise=True,
        returnByValue=True,
    )  # fmt: skip
    return got["result"]["value"]


def test_pointer_and_keyboard_tell_runs_settings_and_value_and_copy_ids(page, tmp_path):
    browser = Browser(tmp_path / "profile", width=1280, height=900)
    tip = "document.getElementById('tip')"
    try:
        browser.open(page.as_uri())
        browser.wait(f"!!{tip}", "script")
        browser.send("Browser.grantPermissions", permissions=["clipboardReadWrite"])
        assert browser.js("document.getElementById('hint').offsetHeight > 0")
        for figure in ("initial-loss", "curves", "settings", "best-validation"):
            x, y, settings, n, ids = aim(browser, figure)
            assert "weight_scale=" in settings and len(ids) == n, figure
            point(browser, x, y, click=True)
            browser.wait(f"{tip}.innerText.includes('copied')", f"a copy from {figure}")
            assert copied(browser) == " ".join(ids), figure
        point(browser, 3, 3)
        browser.wait(f"{tip}.hidden", "nothing told beside the marks")
        browser.js(f"{SVG.format('initial-loss')}.focus({{focusVisible: true}})")
        press(browser, "Home", "ArrowRight", "ArrowRight", "ArrowLeft", "Enter")
        browser.wait(f"{tip}.innerText.includes('copied')", "a copy by Enter")
        data = json.loads(browser.js("document.getElementById('told').textContent"))
        start = next(one for one in data["panels"].values() if one["what"] == "initial loss")
        assert copied(browser) == data["runs"][start["of"][1]][2][0]
        press(browser, "Escape")
        browser.wait(f"{tip}.hidden", "Escape hides it")
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
        browser.send("Emulation.setScriptExecutionDisabled", value=True)
        browser.open(page.as_uri())
        browser.wait("document.readyState === 'complete'", "the page without scripts")
        assert not browser.js("document.getElementById('hint').offsetHeight")  # no promise then
        assert browser.js("document.querySelectorAll('.panel svg').length") > 20
    finally:
        browser.close()
