"""Time series in parts for training, validation and test, and the windows in each.

A part is a list of stretches, each the rows of one series without a gap. A window and its target
lie in one stretch: nothing crosses from one part, or one series, to another.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.data.table import Table, labels, row_count
from rnnexp.data.text import split_ends

PARTS = {"train": "training", "valid": "validation", "test": "test"}
"""What messages call the parts."""
SPLITS = ("time", "series")


class Stretch(NamedTuple):
    """Rows of a table that follow each other in one series, and the name of that series."""

    rows_N: np.ndarray
    series: str


def series_of(table: Table, group: str = "") -> list[Stretch]:
    """The series of a table: the rows of each value of the column `group`, in order of appearance.

    Without a group those that the table says, or all rows as one. Raises `UsageError` for a group
    where the table has series already.
    """
    if not group:
        ends = np.cumsum(table.lengths)[:-1].tolist() if table.lengths else []
        pieces = np.split(np.arange(row_count(table)), ends)
        names = [f"series {number}" for number in range(len(pieces))] if table.lengths else [""]
        return [Stretch(rows, name) for rows, name in zip(pieces, names, strict=True)]
    if table.lengths:
        raise UsageError(
            f"config.task.group={group}: {table.source} has its series in an axis; leave it out"
        )
    names_N = labels(table, group)
    distinct, first, number_N = np.unique(names_N, return_index=True, return_inverse=True)
    order_N = np.argsort(number_N, kind="stable")
    pieces = np.split(order_N, np.cumsum(np.bincount(number_N))[:-1])
    return [Stretch(pieces[n], f"series {str(distinct[n])!r}") for n in np.argsort(first)]


def split_series(
    series: Sequence[Stretch], valid_fraction: float, test_fraction: float, by: str = "time"
) -> dict[str, list[Stretch]]:
    """The parts, in the order of time: training, then validation, then test.

    Args:
      by: time (each series is cut in three) or series (whole series, in their order, are).

    Without a test part (`test_fraction` 0) it is an empty list. Raises `UsageError` unless each
    part has a row, or a series.
    """
    require_choice("option 'split'", by, SPLITS)
    if by == "series":
        ends = split_ends(len(series), valid_fraction, test_fraction)
        cut = np.split(np.arange(len(series)), ends)
        parts = {part: [series[n] for n in of] for part, of in zip(PARTS, cut, strict=True)}
        for part, of_part in parts.items():
            if not of_part and not (part == "test" and test_fraction == 0):
                raise UsageError(
                    f"the {PARTS[part]} part has none of the {len(series)} series; choose other "
                    "fractions, or config.task.split=time"
                )
        return parts
    parts = {part: [] for part in PARTS}
    for rows_N, name in series:
        ends = split_ends(len(rows_N), valid_fraction, test_fraction)
        for part, rows in zip(PARTS, np.split(rows_N, ends), strict=True):
            if part != "test" or test_fraction > 0:
                parts[part].append(Stretch(rows, name))
    return parts


def window_starts(
    parts: Mapping[str, Sequence[Stretch]],
    window_steps: int,
    horizon: int,
    stride_steps: int,
    source: str,
) -> dict[str, np.ndarray]:
    """Where the windows of each part begin, (W,) int32, in its stretches laid end to end.

    A window has `window_steps` rows and needs `horizon` more of its stretch for its target. The
    rows are those of `source`, for messages.

    Raises `UsageError` that names the part and the series of a stretch without room for one.
    """
    need = window_steps + horizon
    found = {}
    for part, stretches in parts.items():
        begin, starts = 0, []
        for rows_N, name in stretches:
            if len(rows_N) < need:
                of = f" of {name}" if name else ""
                raise UsageError(
                    f"{source}: the {PARTS[part]} part{of} has {len(rows_N):,} steps; with "
                    f"window_steps {window_steps} and horizon {horizon} it needs at least {need}"
                )
            starts.append(begin + np.arange(0, len(rows_N) - need + 1, stride_steps))
            begin += len(rows_N)
        found[part] = np.concatenate([*starts, []]).astype(np.int32)
    return found


def joined_rows(stretches: Sequence[Stretch]) -> np.ndarray:
    """The rows of stretches laid end to end, (N,)."""
    return np.concatenate([*(stretch.rows_N for stretch in stretches), []]).astype(np.int64)


def fill_previous(values_N: np.ndarray, series: Sequence[Stretch]) -> np.ndarray:
    """A column whose missing values (NaN) repeat the last value before them in their series.

    A series that begins without a value keeps NaN there.
    """
    filled_N = values_N.copy()
    for rows_N, _ in series:
        of_series = values_N[rows_N]
        last = np.maximum.accumulate(np.where(np.isnan(of_series), 0, np.arange(len(rows_N))))
        filled_N[rows_N] = of_series[last]
    return filled_N
