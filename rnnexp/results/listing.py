"""The rows of `rnnexp list`."""

import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rnnexp.cells import CELLS
from rnnexp.core.registry import READING_MODES, Table
from rnnexp.models.heads import HEADS
from rnnexp.results.index import read_index
from rnnexp.results.summary import Rows
from rnnexp.tasks import TASKS

TABLES = {"cells": CELLS, "tasks": TASKS, "heads": HEADS}


def rows(what: str, runs_dir: Path) -> Rows:
    """The rows of a list: `experiments`, `cells`, `tasks`, `heads` or `runs`."""
    if what in TABLES:
        return entries(TABLES[what])
    return runs(runs_dir) if what == "runs" else experiments()


def experiments() -> Rows:
    """A row for each task, with the cells that fit it."""
    found = []
    for task in TASKS.names():
        modes = TASKS.entry(task).modes
        fits = {cell: set(modes) <= set(CELLS.entry(cell).modes) for cell in CELLS.names()}
        found.append({"task": task, "mode": ", ".join(modes), "cells": _which(fits)})
    return found


def _which(fits: dict[str, bool]) -> str:
    """`all cells`, `all but narx`, or the few that fit."""
    yes, no = ([name for name, fit in fits.items() if fit == wanted] for wanted in (True, False))
    if not no:
        return "all cells"
    return f"all but {', '.join(no)}" if len(no) < len(yes) else ", ".join(yes)


def entries(table: Table) -> Rows:
    """Name, modes and summary of every cell, task or head."""
    return [
        {"name": name, "modes": _modes(entry.modes), "summary": entry.summary}
        for name, entry in ((name, table.entry(name)) for name in table.names())
    ]


def _modes(modes: Sequence[str]) -> str:
    """`any sequence`, that with exceptions, or the modes themselves."""
    missing = [mode for mode in READING_MODES if mode not in modes]
    if len(modes) == 1 or len(missing) > 1:
        return ", ".join(modes)
    return f"any sequence but {missing[0]}" if missing else "any sequence"


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


def options(table: Table) -> Rows:
    """Every option of every cell or task, with its default and meaning."""
    found = []
    for name in table.names():
        entry = table.entry(name)
        meaning = meanings(entry.factory())
        for option, default in entry.options().items():
            row = {"name": name, "option": option, "default": default}
            found.append(row | {"meaning": meaning.get(option, "")})
    return found


def meanings(factory: Callable[..., Any]) -> dict[str, str]:
    """The first sentence about each argument under `Args:` in a factory's docstring."""
    text = inspect.getdoc(factory) or ""
    section = re.search(r"^Args:\n((?: .*\n|\n)+)", text + "\n", re.MULTILINE)
    if section is None:
        return {}
    found: dict[str, str] = {}
    for argument in re.split(r"^(?=\S)", textwrap.dedent(section[1]), flags=re.MULTILINE)[1:]:
        names, _, meaning = argument.partition(":")
        sentence = re.split(r"\.\s", meaning + " ", maxsplit=1)[0]
        found |= dict.fromkeys(re.split(r",\s*", names.strip()), " ".join(sentence.split()))
    return found
