"""A real browser, driven through Chromium's DevTools protocol; nothing is downloaded for it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
import time
from pathlib import Path

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str | None:
    """Path of an installed Chromium, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page of a headless Chromium that can reach this machine alone.

    folder: for its profile. Every wait has a limit in seconds and says what was on the page.
    """

    def __init__(self, folder: Path, *, width: int = 1440, height: int = 900) -> None:
        self.requests: list[str] = []  # every address the page asked for
        self.errors: list[str] = []  # uncaught exceptions in the page
        self._loop = asyncio.new_event_loop()
        self._number = 0
        self._process = subprocess.Popen(
            [
                str(chromium()), "--headless=new", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = self._port(folder / "DevToolsActivePort")
            self._do(self._connect(port))
            for name in ("Page", "Runtime", "Network"):
                self.send(f"{name}.enable")
            self.resize(width, height)
        except BaseException:
            self.close()
            raise

    def resize(self, width: int, height: int) -> None:
        """Make the window this large, in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def send(self, method: str, **params):
        """One DevTools command; its result."""
        return self._do(self._send(method, params))

    def open(self, url: str) -> None:
        """Go to an address."""
        self.send("Page.navigate", url=url)

    def js(self, expression: str):
        """The JSON value of a JavaScript expression in the page."""
        got = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in got:
            raise AssertionError(f"{expression}: {got['exceptionDetails']}")
        return got["result"].get("value")

    def text(self) -> str:
        """What the page shows."""
        return self.js("document.body ? document.body.innerText : ''") or ""

    def wait(self, expression: str, what: str, seconds: float = 90) -> None:
        """Until a JavaScript expression is true."""
        until = time.monotonic() + seconds
        while not self.js(expression):
            if time.monotonic() > until:
                raise AssertionError(
                    f"no {what} within {seconds} s; the page:\n{self.text()[:3000]}"
                )
            self._do(asyncio.sleep(0.2))

    def wait_text(self, *words: str, seconds: float = 90) -> None:
        """Until the page shows each of these texts."""
        for word in words:
            self.wait(f"document.body?.innerText.includes({json.dumps(word)})", word, seconds)

    def click(self, expression: str, what: str) -> None:
        """A real mouse click on the element that a JavaScript expression gives.

        Once it is enabled, has come to rest, and nothing lies over it.
        """
        self.wait(f"!!({expression})", what)
        find = (
            "(e => { if (!e || e.disabled) return null; e.scrollIntoView({block: 'center'});"
            " const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;"
            " const top = document.elementFromPoint(x, y);"
            " return top && (e.contains(top) || top.contains(e)) ? [x, y] : null; })"
            f"({expression})"
        )
        until, before, spot = time.monotonic() + 60, None, self.js(find)
        while spot is None or spot != before:
            assert time.monotonic() < until, f"{what} cannot be clicked on"
            self._do(asyncio.sleep(0.15))
            before, spot = spot, self.js(find)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent", type=kind, x=spot[0], y=spot[1], button="left",
                clickCount=0 if kind == "mouseMoved" else 1,
            )  # fmt: skip

    def click_text(self, text: str, among: str = "a, button, [role=tab], [role=button], span"):
        """Click the first element of these kinds whose whole text this is."""
        find = (
            f"[...document.querySelectorAll({json.dumps(among)})]"
            f".find(e => e.innerText?.trim() === {json.dumps(text)} && e.offsetParent)"
        )
        self.click(find, f"'{text}' to click on")

    def rest(self, seconds: float = 1.0) -> None:
        """Let the page go on for a while."""
        self._do(asyncio.sleep(seconds))
        self.js("1")  # reads the events that came in

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        got = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(got["data"]))

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(Exception):
            self.send("Browser.close")
        with contextlib.suppress(Exception):
            self._do(self._session.close())
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._loop.close()

    def _port(self, path: Path) -> int:
        until = time.monotonic() + 60
        while time.monotonic() < until and self._process.poll() is None:
            if path.exists() and path.read_text().strip():
                return int(path.read_text().splitlines()[0])
            time.sleep(0.1)
        raise AssertionError(f"Chromium did not start ({self._process.poll()})")

    def _do(self, what):
        return self._loop.run_until_complete(asyncio.wait_for(what, 60))

    async def _connect(self, port: int) -> None:
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = await answer.json()
        page = next(p for p in pages if p["type"] == "page")
        self._socket = await self._session.ws_connect(
            page["webSocketDebuggerUrl"], max_msg_size=0, autoping=True
        )

    async def _send(self, method: str, params):
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            got = await self._socket.receive_json()
            if got.get("id") == number:
                if "error" in got:
                    raise AssertionError(f"{method}: {got['error']}")
                return got["result"]
            if got.get("method") == "Network.requestWillBeSent":
                self.requests.append(got["params"]["request"]["url"])
            elif got.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(got["params"]["exceptionDetails"])[:500])
