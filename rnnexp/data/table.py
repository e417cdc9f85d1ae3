"""A table of the user's: named columns of cells, and what a cell is called when it is wrong.

What reads a file makes a `Table` of it; here its columns become numbers or labels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnexp.core.errors import UsageError, unknown

MISSING = ("", "na", "n/a", "nan", "null", "none", "-", "?")
"""What stands in a cell without a value, in small letters."""


@dataclass(frozen=True)
class Table:
    """Columns of equal lengths.

    Attributes:
      source: what messages call it: its file.
      columns: by name the cells, as texts or as an array.
      lines_N: the line of each row in a text file; None: rows are counted from 0.
      bundles: names that stand for several columns, as an array of two axes does.
      lengths: the rows of each of the series that follow each other; one series by default.
    """

    source: str
    columns: Mapping[str, Sequence[Any] | np.ndarray]
    lines_N: Sequence[int] | None = None
    bundles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()


def row_count(table: Table) -> int:
    """The rows of a table, 0 of one without columns."""
    return len(next(iter(table.columns.values()), ()))


def place(table: Table, row: int, name: str) -> str:
    """What messages call a cell: `FILE, line 7, column 'b'`."""
    where = f"row {row} (from 0)" if table.lines_N is None else f"line {table.lines_N[row]}"
    return f"{table.source}, {where}, column {name!r}"


def chosen(table: Table, names: str, option: str) -> tuple[str, ...]:
    """The columns that an option names, `a,b`, each once, in that order.

    A name that stands for several columns gives them all. Raises `UsageError` for an unknown
    column, with the one that is meant, and for one that is named twice.
    """
    found: list[str] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        if name not in table.columns and name not in table.bundles:
            error = unknown("column", name, [*table.columns, *table.bundles])
            raise UsageError(f"config.task.{option}: {table.source}: {error}")
        for column in table.bundles.get(name, (name,)):
            if column in found:
                raise UsageError(f"config.task.{option} names the column {column!r} twice")
            found.append(column)
    return tuple(found)


def is_missing(cell: Any) -> bool:
    """Whether a cell has no value."""
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return cell is None or bool(np.isscalar(cell) and cell != cell)


def is_number(cell: Any) -> bool:
    """Whether a cell can be read as a number."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def numbers(table: Table, name: str) -> np.ndarray:
    """A column as float64 (N,), NaN where a value is missing.

    Raises `UsageError` that names the cell, for one that is no finite number.
    """
    cells = table.columns[name]
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "biuf":
        values = cells.astype(np.float64)
    else:
        try:
            values = np.fromiter(map(float, cells), np.float64, len(cells))
        except (TypeError, ValueError):
            values = _one_by_one(table, name)
    if np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        raise UsageError(f"{place(table, row, name)}: {cells[row]} is not a finite number")
    return values


def _one_by_one(table: Table, name: str) -> np.ndarray:
    """`numbers` of cells that `float` does not read all."""
    cells = table.columns[name]
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if not is_missing(cell):
            if not is_number(cell):
                raise UsageError(f"{place(table, row, name)}: {_no_number(table, row, str(cell))}")
            values[row] = float(cell)
    return values


def _no_number(table: Table, row: int, cell: str) -> str:
    """Why a text is no number, and what may be meant."""
    said = f"{cell[:40]!r} is no number"
    if is_number(cell.strip().replace(",", ".", 1)):
        return f"{said}; write decimals with a point, as in {cell.strip().replace(',', '.', 1)}"
    if row == 0 and table.lines_N is not None:
        return f"{said}; if this line has the names of the columns, set config.task.header=yes"
    return f"{said}; name the columns to be read, as in config.task.columns=a,b"


def require_present(table: Table, name: str, values_N: np.ndarray) -> None:
    """Raise `UsageError` that names the first missing value of a column, and counts them."""
    missing_N = np.isnan(values_N)
    if missing_N.any():
        count = int(missing_N.sum())
        more = f", the first of {count:,} in this column" if count > 1 else ""
        raise UsageError(
            f"{place(table, int(np.argmax(missing_N)), name)}: the value is missing{more}; fill it "
            "in, or let config.task.missing=previous repeat the value before it"
        )


def labels(table: Table, name: str) -> np.ndarray:
    """A column as texts (N,): labels of classes or names of series; whole numbers without `.0`.

    Raises `UsageError` that names the cell, for one without a value.
    """
    cells: Iterable[Any] = table.columns[name]
    found = [_label(cell) for cell in cells]
    for row, (label, cell) in enumerate(zip(found, cells, strict=True)):
        if not label or is_missing(cell):
            raise UsageError(f"{place(table, row, name)}: the value is missing; a label is needed")
    return np.array(found, dtype=np.str_)


def _label(cell: Any) -> str:
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell).strip()


def sorted_labels(names: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels, by their numbers if all are numbers, else by their letters."""
    distinct = sorted({str(name) for name in names})
    return tuple(sorted(distinct, key=float)) if all(map(is_number, distinct)) else tuple(distinct)
