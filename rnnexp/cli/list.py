"""The command `list`: experiments, cells and other parts, options, configuration keys, runs."""

import argparse
from collections.abc import Sequence
from typing import Any

from rnnexp.cli.arguments import add_where, refuse
from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

LISTS = (
    "experiments", "cells", "tasks", "heads", "optimizers", "schedules", "losses", "keys", "runs",
)  # fmt: skip


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Arguments of `rnnexp list`."""
    command.add_argument("what", nargs="?", default="experiments", choices=LISTS)
    command.add_argument(
        "experiment", nargs="?", metavar="TASK/CELL",
        help="of keys: those of this experiment, and what it changes",
    )  # fmt: skip
    command.add_argument(
        "--options", action="store_true",
        help="of cells, tasks, heads, optimizers, schedules or losses: what --config.cell.KEY "
        "(task, head, optimizer, loss) can be",
    )  # fmt: skip
    runs = command.add_argument_group("runs")
    add_where(runs)
    runs.add_argument(
        "--sort", metavar="KEY",
        help="by a key or score, such as test_loss or optimizer.learning_rate; default: by age",
    )  # fmt: skip
    runs.add_argument("--descending", action="store_true", help="with --sort: the largest first")


def list_command(known: argparse.Namespace, rest: Sequence[str]) -> int:
    """`rnnexp list`."""
    from rnnexp.results import listing

    if known.options and known.what not in listing.TABLES:
        tables = ", ".join(f"`list {table}`" for table in listing.TABLES)
        raise UsageError(f"--options goes with {tables}")
    if known.experiment is not None and known.what != "keys":
        raise UsageError("TASK/CELL goes with `list keys`")
    if known.what != "runs":
        refuse(known, f"`list {known.what}`", where=[], sort=None, descending=False)
    if known.descending and known.sort is None:
        raise UsageError("--descending goes with --sort")
    if known.what == "keys":
        return _keys(known)
    if known.what == "runs":
        return _runs(known)
    rows = (
        listing.options(listing.TABLES[known.what]) if known.options else listing.rows(known.what)
    )
    if known.json:
        print(to_json(rows, indent=2))
    elif known.options:
        print_table(f"options of {known.what}", [_shown(row) for row in rows])
    else:
        print_table(known.what, rows)
    return 0


def _runs(known: argparse.Namespace) -> int:
    """`rnnexp list runs`."""
    from rnnexp.results import listing

    rows = listing.runs(
        known.runs_dir, where=known.where, sort=known.sort, descending=known.descending
    )
    if known.json:
        print(to_json(rows, indent=2))
    elif not rows:
        meeting = f" that meet {' and '.join(known.where)}" if known.where else ""
        print(f"no runs in {known.runs_dir}{meeting}")
    else:
        print_table("runs", listing.run_table(rows))
    return 0


def _keys(known: argparse.Namespace) -> int:
    """`rnnexp list keys`, with or without TASK/CELL."""
    from rnnexp.config.describe import key_rows

    rows = key_rows(known.experiment)
    if known.json:
        print(to_json(rows, indent=2))
        return 0
    if known.experiment is None:
        print_table("keys of every experiment, set by --config.KEY=VALUE", [*map(_shown, rows)])
        print("rnnexp list keys TASK/CELL: also the options of its task and cell")
        return 0
    shown = []
    for row in rows:
        by, text = row.pop("changed_by"), _shown(row)
        text["usual"] = f"{text['usual']} (changed by the {by})" if by else ""
        shown.append(text)
    print_table(f"keys of {known.experiment}", shown)
    return 0


def _shown(row: dict[str, Any]) -> dict[str, object]:
    """A row of an option or a key as text; an empty default becomes `""`, None `unset`."""
    return row | {name: _text(row[name]) for name in ("default", "usual") if name in row}


def _text(value: Any) -> str:
    if value is None:
        return "unset"
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'
