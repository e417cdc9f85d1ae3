"""A page in a real browser: scripts of a test run in a copy of it and hand back what they saw."""

import json
import re
import shutil
import subprocess
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


def browse(page: Path, script: str, *, height: int = 16000, dark: bool = False) -> dict[str, Any]:
    """Open a copy of a page without a network, run `script` in it, and close it.

    Args:
      script: the body of an async function; `await pause()` lets the page work; what it
        returns is `answer`.
      height: of the window, which pictures must be in to be drawn.

    Returns:
      `answer`; `errors`: of scripts and of the console; `violations` of the page's security
      policy; `resources` that it loaded; `hacked`: what a text that ran as a script set.
    """
    text = page.read_text()
    head = text.index("<style>")
    copy = page.with_name(f"{page.stem}-test.html")
    text = text[:head] + BEFORE + text[head:].replace("</body>", f"{AFTER % script}</body>")
    copy.write_text(text)
    command = [
        find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        f"--user-data-dir={page.parent / 'profile'}", f"--window-size=1400,{height}",
        "--virtual-time-budget=60000", "--allow-file-access-from-files",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--dump-dom", copy.resolve().as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    found = re.search(r'<pre id="result-of-the-test">(.*?)</pre>', done.stdout, re.S)
    assert found, f"the script did not end: {done.stdout[-500:]} {done.stderr[-2000:]}"
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result
