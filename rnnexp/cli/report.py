"""The command `report`: one page about many runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rnnexp.core.files import to_json


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp report`."""
    command.add_argument(
        "directories", nargs="+", type=Path, metavar="DIR", help="of runs, of a sweep, or of a run"
    )
    command.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), metavar="FILE.html",
        help="where the page goes (report.html)",
    )  # fmt: skip


def report_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp report DIR -o report.html`."""
    from rnnexp.report.page.html import write_report

    written = write_report(known.directories, known.output)
    if known.json:
        print(to_json(written._asdict() | {"file": str(written.file)}, indent=2))
        return 0
    print(f"written: {written.file} ({written.size / 1e6:.1f} MB, {written.runs} runs)")
    return 0
