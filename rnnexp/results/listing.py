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
    return [
        {"task": task, "mode": ", ".join(modes), "cells": _which(modes)}
        for task, modes in ((task, TASKS.entry(task).modes) for task in TASKS.names())
    ]


def _which(modes: Sequence[str]) -> str:
    """The cells that fit: `all that read sequences`, or all but some of those, or a few."""
    yes = [cell for cell in CELLS.names() if set(modes) <= set(CELLS.entry(cell).modes)]
    no = [cell for cell in CELLS.names() if cell not in yes]
    lacking = [cell for cell in no if _reads_sequences(cell)]
    readers = [cell for cell in yes if _reads_sequences(cell)]
    others = [cell for cell in yes if cell not in readers]
    if len(lacking) < len(readers):
        but = f" but {', '.join(lacking)}" if lacking else ""
        return ", ".join([f"all that read sequences{but}", *others])
    return ", ".join(yes)


def _reads_sequences(cell: str) -> bool:
    return "sequence_to_one" in CELLS.entry(cell).modes


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
