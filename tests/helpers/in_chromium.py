"""A page in a real browser: scripts of a test run in a copy of it and hand back what they saw."""

import json
import re
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
BEFORE = """<script>
window.seen = { errors: [], violations: [], hacked: null };
window.onerror = (message) => { seen.errors.push(String(message)); };
window.addEventListener("unhandledrejection", (event) => seen.errors.push(String(event.reason)));
for (const kind of ["error", "warn"]) {
  console[kind] = (...words) => { seen.errors.push(words.join(" ")); };
}
document.addEventListener("securitypolicyviolation", (event) => {
  seen.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
</script>"""
SPIES = """<script>
seen.ways = [];
const spy = (host, name, word, address = (...words) => words[0]) => {
  const real = host[name];
  host[name] = function (...words) {
    seen.ways.push(`${word} ${address.call(this, ...words)}`);
    return new.target ? Reflect.construct(real, words) : real.apply(this, words);
  };
  host[name].prototype = real.prototype;
};
spy(window, "fetch", "fetch");
spy(window, "open", "window.open");
spy(window, "WebSocket", "WebSocket");
spy(window, "EventSource", "EventSource");
spy(window, "Worker", "Worker");
spy(navigator, "sendBeacon", "beacon");
spy(XMLHttpRequest.prototype, "open", "XMLHttpRequest", (method, address) => address);
spy(HTMLFormElement.prototype, "submit", "form", function () { return this.action; });
document.addEventListener("submit", (event) => seen.ways.push(`form ${event.target.action}`), true);
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]"), to = link?.getAttribute("href") ?? "";
  if (!link || ["#", "data:", "blob:"].some((start) => to.startsWith(start))) return;
  seen.ways.push(`link ${link.href}`);
  event.preventDefault();
}, true);
</script>"""
OWN_HOSTS = ("google.com", "googleapis.com", "gstatic.com", "gvt1.com", "googleusercontent.com")
"""Whom the browser itself asks for the time and for updates."""
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
AFTER = """<script>
const pause = (ms = 300) => new Promise((done) => setTimeout(done, ms));
window.addEventListener("load", async () => {
  let answer = null;
  try {
    answer = await (async () => { %s })();
  } catch (error) {
    seen.errors.push(`test: ${error.stack}`);
  }
  const resources = performance.getEntriesByType("resource").map(({ name }) => name);
  const result = document.createElement("pre");
  result.id = "result-of-the-test";
  result.textContent = JSON.stringify({ ...seen, resources, answer });
  document.body.append(result);
});
</script>"""


@cache
def find_chromium() -> str:
    """The browser's program; skips the test where none runs, and says so.

    Ubuntu's package of the name is a script that asks for another one, so it is tried.
    """
    for name in NAMES:
        if (program := shutil.which(name)) is not None:
            tried = subprocess.run([program, "--version"], capture_output=True, timeout=60)
            if tried.returncode == 0:
                return program
    pytest.skip(f"no browser: none of {', '.join(NAMES)} runs (Debian: apt-get install chromium)")


@contextmanager
def every_host() -> Iterator[tuple[int, list[bytes]]]:
    """The port of a server here that stands for every host, and the first bytes of what it got."""
    heard: list[bytes] = []

    class Listen(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(2)
            try:
                heard.append(self.request.recv(4096))
                self.request.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            except OSError:
                heard.append(b"")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Listen) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1], heard
        finally:
            server.shutdown()
            thread.join()


def browse(
    page: Path,
    script: str,
    *,
    height: int = 16000,
    dark: bool = False,
    hosts: int | None = None,
    policy: bool = True,
) -> dict[str, Any]:
    """Open a copy of a page without a network, run `script` in it, and close it.

    Args:
      script: the body of an async function; `await pause()` lets the page work; what it
        returns is `answer`.
      height: of the window, which pictures must be in to be drawn.
      hosts: a port of this machine to which every host's name and port leads, but for those of
        `OWN_HOSTS`. The page is then spied on: `ways` has each attempt to leave it, by what and
        where to.
      policy: keep the page's security policy.

    Returns:
      `answer`; `errors`: of scripts and of the console; `violations` of the page's security
      policy; `resources` that it loaded; `hacked`: what a text that ran as a script set.
    """
    text = page.read_text()
    head = text.index("<style>")
    copy = page.with_name(f"{page.stem}-test.html")
    spies = BEFORE if hosts is None else BEFORE + SPIES
    text = text[:head] + spies + text[head:].replace("</body>", f"{AFTER % script}</body>")
    copy.write_text(text if policy else POLICY.sub("", text))
    rules = [f"MAP *.{name} ~NOTFOUND" for name in OWN_HOSTS]
    rules.append(f"MAP * {'~NOTFOUND' if hosts is None else f'127.0.0.1:{hosts}'}")
    command = [
        find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        f"--user-data-dir={page.parent / 'profile'}", f"--window-size=1400,{height}",
        "--virtual-time-budget=60000", "--allow-file-access-from-files",
        f"--host-resolver-rules={', '.join(rules)}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--dump-dom", copy.resolve().as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    found = re.search(r'<pre id="result-of-the-test">(.*?)</pre>', done.stdout, re.S)
    assert found, f"the script did not end: {done.stdout[-500:]} {done.stderr[-2000:]}"
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result
