"""The line through ln(norm) of a recorded profile over the lag, and how well it fits."""

from typing import NamedTuple

import numpy as np


class FittedLine(NamedTuple):
    """The least-squares line of ln(norm) over the lag.

    Attributes:
      slope: nats per lag.
      start: ln(norm) of the line at lag 0.
      lags: the first and the last lag that it is fitted to.
      fit: R², from 0 to 1; NaN through two lags, which a line always meets.
    """

    slope: float
    start: float
    lags: tuple[int, int]
    fit: float

    @property
    def half_life(self) -> float:
        """Lags after which the norm halves, ln 2 / -slope; inf without decay."""
        return float(np.log(2) / -self.slope) if self.slope < 0 else float("inf")


def fitted_line(norms_by_lag_T: np.ndarray) -> FittedLine | None:
    """The line of `rnnexp.gradflow.decay.fit_decay`, over the same lags: those with a finite,
    non-zero norm.

    Computed in float64 from what a run recorded, so that runs made before have it too.

    Args:
      norms_by_lag_T: norms (T,) at the lags 0 to T - 1.

    Returns:
      None with fewer than two usable lags.
    """
    norms_T = np.asarray(norms_by_lag_T, np.float64)
    usable = np.flatnonzero(np.isfinite(norms_T) & (norms_T > 0))
    if len(usable) < 2:
        return None
    lag, log = usable.astype(np.float64), np.log(norms_T[usable])
    mean_lag, mean_log = lag.mean(), log.mean()
    lag, log = lag - mean_lag, log - mean_log
    slope = float(lag @ log / (lag @ lag))
    ends = (int(usable[0]), int(usable[-1]))
    return FittedLine(slope, float(mean_log - slope * mean_lag), ends, _explained(lag, log))


def line_fit(norms_by_lag_T: np.ndarray) -> float:
    """R² of the least-squares line through ln(norm) over the lag, from 0 to 1.

    It is the share of the variance of ln(norm) that `fitted_line` explains.

    Args:
      norms_by_lag_T: norms (T,) at the lags 0 to T - 1, or in the opposite order.

    Returns:
      NaN with fewer than three usable lags, through which a line always fits; 1 for norms that are
      all equal, which the line meets.
    """
    line = fitted_line(norms_by_lag_T)
    return float("nan") if line is None else line.fit


def _explained(lag: np.ndarray, log: np.ndarray) -> float:
    """R² of deviations from their means."""
    if len(lag) < 3:
        return float("nan")
    total = float(log @ log)
    if total <= len(log) * (np.finfo(np.float32).eps * 4) ** 2:  # the norms' own rounding
        return 1.0
    return float((lag @ log) ** 2 / (lag @ lag) / total)
