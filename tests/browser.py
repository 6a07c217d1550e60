"""A real browser without a screen, by its devtools protocol: pages are opened, read and clicked.

`find_browser` says where Chromium is; who needs one and has none skips, with the reason.
"""

# pyright: standard

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_BROWSER = f"needs a browser: none of {', '.join(NAMES)} (apt install chromium)"
PATIENCE = 30.0
"""Longest wait for something that a page shows within a second on an idle machine [s]."""


def find_browser() -> str | None:
    """Return the command of a browser, None without one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A browser process, which lets everybody else go first; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Start it with a profile in a folder."""
        command = find_browser()
        assert command is not None, NO_BROWSER
        self._process = subprocess.Popen(
            ["nice", "-n", "15", command, "--headless=new", "--no-sandbox", "--no-first-run",
             "--remote-debugging-port=0", f"--user-data-dir={folder}", "--disable-extensions",
             "--enable-unsafe-swiftshader", "--use-angle=swiftshader", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        said: list[str] = []
        for line in self._process.stderr:
            said.append(line)
            found = re.search(r"ws://\S+", line)
            if found:
                self._way = connect(found[0], max_size=None, compression=None)
                break
        else:
            raise AssertionError(f"the browser did not start: {''.join(said[-5:])}")
        self._numbers = itertools.count(1)

    def call(self, method: str, session: str = "", **arguments: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": arguments}
        if session:
            message["sessionId"] = session
        way: ClientConnection = self._way
        way.send(json.dumps(message))
        while True:
            answer = json.loads(way.recv(timeout=PATIENCE))
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(
        self, address: str, width: int = 1280, height: int = 800, *, scale: float = 1.0
    ) -> Tab:
        """Open a page in a window of its own; a small scale spares a machine without a GPU."""
        return Tab(self, address, width, height, scale)

    def close(self) -> None:
        """End the process."""
        self._way.close()
        self._process.terminate()
        self._process.wait(10)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Tab:
    """An open page."""

    def __init__(
        self, browser: Browser, address: str, width: int, height: int, scale: float
    ) -> None:
        self._browser = browser
        opened = browser.call("Target.createTarget", url="about:blank", newWindow=True)
        self._target = opened["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                   deviceScaleFactor=scale, mobile=width < 500)  # fmt: skip
        self._call("Page.enable")
        self._call("Page.navigate", url=address)

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **arguments)

    def close(self) -> None:
        """Close it."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def evaluate(self, script: str) -> Any:
        """Return what JavaScript gives."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def text(self) -> str:
        """Return what can be read."""
        return self.evaluate("document.body ? document.body.innerText : ''")

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = PATIENCE) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"no {what} within {timeout} s; page:\n{self.text()}"
            time.sleep(0.05)

    def wait_text(self, pattern: str, timeout: float = PATIENCE) -> None:
        """Wait until something can be read, a regular expression."""
        self.wait(lambda: re.search(pattern, self.text()), f"text {pattern!r}", timeout)

    def click(self, label: str) -> None:
        """Click the button with a label, as a mouse does, once it can be clicked."""
        script = (
            "(() => { const b = [...document.querySelectorAll('button')].find(b => "
            f"b.innerText.trim() === {json.dumps(label)}); if (!b || b.disabled) return null; "
            "b.scrollIntoView({block: 'center'}); const r = b.getBoundingClientRect(); "
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        self.wait(lambda: self.evaluate(script) is not None, f"button {label!r} to click")
        x, y = self.evaluate(script)
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                       clickCount=1)  # fmt: skip

    def screenshot(self, path: Path) -> Path:
        """Write what can be seen as a PNG."""
        data = self._call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))
        return path
