"""The command `list`: experiments, cells, tasks, their options, and runs."""

import argparse
from collections.abc import Sequence
from typing import Any

from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

LISTS = ("experiments", "cells", "tasks", "heads", "runs")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp list`."""
    command.add_argument("what", nargs="?", default="experiments", choices=LISTS)
    command.add_argument(
        "--options", action="store_true",
        help="of cells, tasks or heads: what --config.cell.KEY (task, head) can be",
    )  # fmt: skip


def list_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp list`."""
    from rnnexp.results import listing

    if known.options and known.what not in listing.TABLES:
        raise UsageError("--options goes with `list cells`, `list tasks` and `list heads`")
    if known.options:
        rows = listing.options(listing.TABLES[known.what])
    else:
        rows = listing.rows(known.what, known.runs_dir)
    if known.json:
        print(to_json(rows, indent=2))
    elif not rows:
        print(f"no {known.what} in {known.runs_dir}")
    elif known.options:
        print_table(f"options of {known.what}", [_shown(row) for row in rows])
    else:
        print_table(known.what, rows)
    return 0


def _shown(row: dict[str, Any]) -> dict[str, object]:
    """An option's row as text; an empty default becomes `""`."""
    default = row["default"]
    return row | {"default": f"{default:g}" if isinstance(default, float) else str(default) or '""'}
