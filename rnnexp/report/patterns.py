"""The picture of patterns that `rnnexp sample` draws: all side by side, 1 white."""

import math
from pathlib import Path

import numpy as np

from rnnexp.report.figures import new_figure, save

GAP = 0.35
"""The grey of the lines between patterns."""
SIZE_IN = 5.0


def mosaic(patterns_CxN: np.ndarray, columns: int = 0) -> np.ndarray:
    """One picture of all patterns, row by row, with lines of one pixel around each.

    A pattern is a square if its size allows that, else a single row of pixels. `columns` are those
    of patterns; 0: about as many as rows.
    """
    count, size = patterns_CxN.shape
    side = math.isqrt(size)
    shape = (side, side) if side * side == size else (1, size)
    columns = columns or math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    picture = np.full((rows * (shape[0] + 1) + 1, columns * (shape[1] + 1) + 1), GAP)
    for number, pattern_N in enumerate(patterns_CxN):
        top, left = (
            at * (length + 1) + 1 for at, length in zip(divmod(number, columns), shape, strict=True)
        )
        picture[top : top + shape[0], left : left + shape[1]] = pattern_N.reshape(shape)
    return picture


def draw_patterns(patterns_CxN: np.ndarray, file: Path, *, columns: int = 0) -> None:
    """Draw patterns of values from 0 to 1 into a file; `UsageError` for an unknown ending."""
    figure = new_figure((SIZE_IN, SIZE_IN))
    axes = figure.subplots()
    axes.imshow(mosaic(patterns_CxN, columns), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    save(figure, file)
