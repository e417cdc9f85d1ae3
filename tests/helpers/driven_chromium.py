"""A page in a browser in real time, driven by the DevTools protocol over a pipe.

`in_chromium` opens a file in virtual time, which ends before another process has done anything.
"""

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.in_chromium import OWN_HOSTS, find_chromium

ANSWER_S = 120.0


class Page:
    """A page: what it asked for, what it complained of, and what a script in it returns."""

    def __init__(self, to_browser: int, from_browser: int):
        self._to, self._from = to_browser, from_browser
        self._rest, self._number, self._session = b"", 0, ""
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def open(self, address: str) -> None:
        """Open an address in a new page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Network", "Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """What the body of an async function returns."""
        found = self.call(
            "Runtime.evaluate", expression=f"(async () => {{ {script} }})()",
            awaitPromise=True, returnByValue=True,
        )  # fmt: skip
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = ANSWER_S) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition});"):
            assert time.monotonic() < until, f"never: {condition}; {self.complaints}"
            time.sleep(0.3)

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at one place and let it go at another."""
        events = [("mouseMoved", begin, 0), ("mousePressed", begin, 1)]
        events += [("mouseMoved", end, 1), ("mouseReleased", end, 0)]
        for kind, (x, y), buttons in events:
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=buttons,
                button="none" if kind == "mouseMoved" and not buttons else "left", clickCount=1,
            )  # fmt: skip

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a method of the protocol."""
        self._number += 1
        content = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            content["sessionId"] = self._session
        os.write(self._to, json.dumps(content).encode() + b"\0")
        until = time.monotonic() + ANSWER_S
        while True:
            message = self._next(until)
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                result: dict[str, Any] = message["result"]
                return result
            self._notice(message)

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            self._rest += os.read(self._from, 1 << 16)
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _notice(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning"):
                self.complaints.append(str(told["args"]))
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")


@contextmanager
def chromium(folder: Path, width: int = 1400, height: int = 1600) -> Iterator[Page]:
    """A browser whose profile is in a folder; no host but this machine can be found."""
    to_browser, from_test = os.pipe(), os.pipe()
    rules = [f"MAP *.{name} ~NOTFOUND" for name in OWN_HOSTS]
    rules.append("MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
    command = [
        find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}",
        f"--host-resolver-rules={', '.join(rules)}", "--remote-debugging-pipe", "about:blank",
    ]  # fmt: skip
    # The protocol wants the descriptors 3 and 4.
    shell = f'exec "$@" 3<&{to_browser[0]} 4>&{from_test[1]}'
    with (folder / "chromium.log").open("wb") as said:
        process = subprocess.Popen(
            ["bash", "-c", shell, "chromium", *command],
            pass_fds=(to_browser[0], from_test[1]), stdout=said, stderr=said,
        )  # fmt: skip
    os.close(to_browser[0])
    os.close(from_test[1])
    try:
        yield Page(to_browser[1], from_test[0])
    finally:
        process.terminate()
        process.wait(30)
        os.close(to_browser[1])
        os.close(from_test[0])
