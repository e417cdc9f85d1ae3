"""The line fitted to ln||dL/dh_t|| over the lag, drawn over a profile, and its half-life in words.

A line that explains little of the profile is dashed, and its R² is told beside its half-life.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnexp.results.line_fit import FittedLine, fitted_line

GOOD_FIT = 0.8
"""The least R² of a line that speaks for its profile."""
THIN = 0.9
DASHED = (0, (5, 3))


def draw_fitted_line(
    axes: Axes, norms_by_lag_T: np.ndarray, colour: str
) -> tuple[Line2D, FittedLine] | None:
    """Draw the line fitted to a profile, thin, over the lags that it is fitted to.

    Returns the drawn line and what it is; None, and nothing is drawn, with fewer than three
    usable lags, through which a line says nothing.
    """
    line = fitted_line(norms_by_lag_T)
    if line is None or np.isnan(line.fit):
        return None
    lags = np.array(line.lags)
    heights = np.maximum(np.exp(line.start + line.slope * lags), np.finfo(np.float32).tiny)
    (drawn,) = axes.plot(lags, heights, color=colour, linewidth=THIN)
    if line.fit < GOOD_FIT:
        drawn.set_linestyle(DASHED)
    return drawn, line


def half_life_text(line: FittedLine) -> str:
    """`6.93`, or `none` for a norm that does not shrink; of a bad fit also `R² .31`."""
    life = f"{line.half_life:.3g}" if np.isfinite(line.half_life) else "none"
    return life if line.fit >= GOOD_FIT else f"{life}, R² {fit_text(line.fit)}"


def fit_text(fit: float) -> str:
    """R² with two decimals and without a leading zero: `.31`."""
    return f"{fit:.2f}".removeprefix("0")
