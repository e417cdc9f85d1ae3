"""The rows of `rnnexp list`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnnexp.cells import CELLS
from rnnexp.core.registry import Table
from rnnexp.results.index import read_index
from rnnexp.tasks import TASKS

Rows = list[dict[str, Any]]


def experiments(runs_dir: Path) -> Rows:
    """The matrix of TASK/CELL: a row a task, and which cells fit it."""
    del runs_dir
    rows = []
    for task in TASKS.names():
        modes = TASKS.entry(task).modes
        fits = {cell: set(modes) <= set(CELLS.entry(cell).modes) for cell in CELLS.names()}
        rows.append({"task": task, "mode": ", ".join(modes), "cells": _which(fits)})
    return rows


def _which(fits: dict[str, bool]) -> str:
    """`all cells`, `all but narx`, or the few that fit."""
    yes, no = ([name for name, fit in fits.items() if fit == wanted] for wanted in (True, False))
    if not no:
        return "all cells"
    return f"all but {', '.join(no)}" if len(no) < len(yes) else ", ".join(yes)


def cells(runs_dir: Path) -> Rows:
    """Name and summary of every cell."""
    del runs_dir
    return _entries(CELLS)


def tasks(runs_dir: Path) -> Rows:
    """Name and summary of every task."""
    del runs_dir
    return _entries(TASKS)


def runs(runs_dir: Path) -> Rows:
    """Every run with its status, oldest first."""
    return [
        {
            "run": record.path,
            "status": record.status,
            "step": record.step,
            "test": "  ".join(f"{name} {value:.4g}" for name, value in record.test.items())
            or record.reason,
        }
        for record in read_index(runs_dir)
    ]


def _entries(table: Table) -> Rows:
    return [
        {
            "name": name,
            "modes": ", ".join(table.entry(name).modes),
            "summary": table.entry(name).summary,
        }
        for name in table.names()
    ]


ROWS: dict[str, Callable[[Path], Rows]] = {
    "experiments": experiments,
    "cells": cells,
    "tasks": tasks,
    "runs": runs,
}
