"""The report's file: data, style, scripts and Plotly's library in one page."""

import html
import logging
import re
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from rnnexp.core.errors import RunError, UsageError
from rnnexp.core.files import replace_bytes, to_json
from rnnexp.report.page.collect import collect

log = logging.getLogger("rnnexp")
SCRIPTS = ("data.js", "style.js", "charts.js", "pictures.js", "lab.js", "page.js")
LIVE_SCRIPT = "live.js"
ICON = '<link rel="icon" href="data:,">'
"""So that a browser does not ask a server for one."""
MOST_BYTES = 8_000_000
"""A larger page is slow to send and to open; a line in the log says so."""
STOPS = 16


class Written(NamedTuple):
    """The file, its size in bytes, the number of its runs, and notes on omissions."""

    file: Path
    size: int
    runs: int
    notes: list[str]


def write_report(directories: Sequence[Path], file: Path) -> Written:
    """Write the page about the runs below directories of runs or sweeps, or of single runs.

    Raises `UsageError` if no run can be read or `file` cannot hold a page, and `RunError` if it
    cannot be written.
    """
    if file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            f"cannot write {file}: a report is one page, so its name must end in .html"
        )
    if not file.parent.is_dir():
        raise UsageError(f"cannot write {file}: there is no directory {file.parent}")
    data = collect(directories)
    content = render(data).encode("utf-8", "replace")
    if len(content) > MOST_BYTES:
        log.warning(
            "%s has %.1f MB: %d runs are many for one page; report on fewer",
            file, len(content) / 1e6, len(data["runs"]),
        )  # fmt: skip
    try:
        replace_bytes(file, content)
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}") from error
    return Written(file, len(content), len(data["runs"]), data["notes"])


def render(data: dict[str, Any], live: dict[str, Any] | None = None) -> str:
    """The page's text for the data of `collect`.

    Texts from outside are escaped, or are in the JSON, where `embedded` makes them harmless.

    Args:
      live: what `live.js` needs in a page that its server keeps up to date; None for a file.
    """
    home = resources.files("rnnexp.report.page")
    thinned = {
        f"thinned_{part}": f'<div data-thinned="{part}">{_soft(line)}</div>'
        for part, line in data["thinned"].items()
    }
    drawn, every = len(data["runs"]), data["every"]
    some = f"{drawn} of {every:,}" if drawn < every else str(drawn)
    made = f" Made {data['made']}." if live is None else ""
    summary = f"{some} runs from {data['title']}.{made}"
    scripts = SCRIPTS if live is None else (*SCRIPTS, LIVE_SCRIPT)
    parts = thinned | {
        "title": html.escape(data["title"]),
        "summary": html.escape(summary),
        "looks": html.escape(data["looks"]),
        "notes": "".join(_soft(note) for note in data["notes"]),
        "about": "".join(_soft(line) for line in _about(data, live is not None)),
        "answers": data["answers"],
        "data": embedded(
            {k: v for k, v in data.items() if k != "answers"}
            | {"colours": _colours()}
            | ({"live": live} if live else {})
        ),
        "style": (home / "page.css").read_text("utf-8"),
        "plotly": plotly_script(),
        "script": "".join((home / name).read_text("utf-8") for name in scripts),
    }
    page = (home / "page.html").read_text("utf-8")
    if live is not None:
        page = page.replace("connect-src 'none'", "connect-src 'self'")
        page = page.replace("<style>", f"{ICON}\n<style>", 1)
    # One pass, so that a {{name}} in the inserted texts is not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], page)


def embedded(data: dict[str, Any]) -> str:
    """JSON that is safe inside a script element: ASCII without `<`, `>` and `&`."""
    text = to_json(data, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _about(data: dict[str, Any], live: bool) -> list[str]:
    network = (
        "The page asks nobody but the server on this machine that it came from, and its security "
        "policy forbids the rest."
        if live
        else "The page loads nothing from a network, and its security policy forbids it to."
    )
    return [
        "The norm of dL/dh at step t is the mean over the batch of the Euclidean norm of the "
        "gradient of each example's own loss by the state after step t.",
        data["precision"],
        *filter(None, data["thinned"].values()),
        f"Drawn by Plotly ({version('plotly')}), which is inside this file. {network}",
    ]


def _soft(line: str) -> str:
    return f'<p class="soft">{html.escape(line)}</p>\n' if line else ""


def plotly_script() -> str:
    """Plotly's own script, of the installed package."""
    return (resources.files("plotly") / "package_data" / "plotly.min.js").read_text("utf-8")


def _colours() -> list[tuple[float, str]]:
    """Stops of viridis, which is perceptually uniform and lacks the grey that marks gaps."""
    import matplotlib
    from matplotlib.colors import to_hex

    ramp = matplotlib.colormaps["viridis"]
    places = [stop / (STOPS - 1) for stop in range(STOPS)]
    return [(round(place, 4), to_hex(ramp(place))) for place in places]
