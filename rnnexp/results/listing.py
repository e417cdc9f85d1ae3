"""The rows of `rnnexp list`."""

from collections.abc import Sequence
from pathlib import Path

from rnnexp.cells import CELLS
from rnnexp.core.registry import READING_MODES, Table
from rnnexp.learning import LOSSES, OPTIMIZERS, SCHEDULES
from rnnexp.models.heads import HEADS
from rnnexp.results.index import read_index
from rnnexp.results.labels import labels_of
from rnnexp.results.select import ordered, parse_condition, select
from rnnexp.results.summary import Rows
from rnnexp.tasks import TASKS

TABLES = {table.plural: table for table in (CELLS, TASKS, HEADS, OPTIMIZERS, SCHEDULES, LOSSES)}


def rows(what: str) -> Rows:
    """The rows of a list: `experiments`, or that of a table, such as `cells`."""
    return entries(TABLES[what]) if what in TABLES else experiments()


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
    """Name and summary of every entry, the modes of cells, tasks and heads, and the targets that
    losses are for."""
    rows = []
    for name in table.names():
        entry = table.entry(name)
        modes = {"modes": _modes(entry.modes)} if entry.modes else {}
        targets = {"targets": entry.targets or "any"} if table is LOSSES else {}
        rows.append({"name": name} | modes | targets | {"summary": entry.summary})
    return rows


def _modes(modes: Sequence[str]) -> str:
    """`any sequence`, that with exceptions, or the modes themselves."""
    missing = [mode for mode in READING_MODES if mode not in modes]
    if len(modes) == 1 or len(missing) > 1:
        return ", ".join(modes)
    return f"any sequence but {missing[0]}" if missing else "any sequence"


def runs(
    runs_dir: Path,
    *,
    where: Sequence[str] = (),
    sort: str | None = None,
    descending: bool = False,
) -> Rows:
    """Every run with its label, status, scores and configuration: oldest first, unless sorted.

    Args:
      where: conditions that a run must meet; see `rnnexp.results.select`.
      sort: the key or score by whose value runs are sorted.

    Raises:
      UsageError: for a condition of another form, or a key that no run has.
    """
    records = read_index(runs_dir)
    chosen = select(records, [parse_condition(text) for text in where])
    if sort is not None:
        chosen = ordered(chosen, sort, descending=descending)
    return [
        {
            "run": record.path,
            "label": label,
            **record.about._asdict(),
            "status": record.status,
            "step": record.step,
            "reason": record.reason,
            "test": record.test,
            "best": None if record.best is None else record.best._asdict(),
            "keys": record.keys,
        }
        for record, label in zip(chosen, labels_of(chosen), strict=True)
    ]


def run_table(found: Rows) -> Rows:
    """The rows of `runs` with flat columns, for a table."""
    has_tags = any(row["tags"] for row in found)
    return [
        {
            "label": row["label"],
            "status": row["status"],
            "step": row["step"],
            "test": "  ".join(f"{name} {value:.4g}" for name, value in row["test"].items())
            or row["reason"],
            **({"tags": ", ".join(row["tags"])} if has_tags else {}),
            "run": row["run"],
        }
        for row in found
    ]


def options(table: Table) -> Rows:
    """Every option of every entry of a table, with its default and meaning."""
    return [
        {"name": name, "option": option, "default": row.default, "meaning": row.meaning}
        for name in table.names()
        for option, row in table.entry(name).signature().items()
    ]
