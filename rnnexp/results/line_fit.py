"""How well a line fits ln(norm) of a recorded profile over the lag."""

import numpy as np


def line_fit(norms_by_lag_T: np.ndarray) -> float:
    """R² of the least-squares line through ln(norm) over the lag, from 0 to 1.

    It is the share of the variance of ln(norm) that the line of `rnnexp.gradflow.decay.fit_decay`
    explains, over the same lags: those with a finite, non-zero norm. Computed in float64 from what
    a run recorded, so that runs made before have it too.

    Args:
      norms_by_lag_T: norms (T,) at the lags 0 to T - 1, or in the opposite order.

    Returns:
      NaN with fewer than three usable lags, through which a line always fits; 1 for norms that are
      all equal, which the line meets.
    """
    norms_T = np.asarray(norms_by_lag_T, np.float64)
    lag = np.flatnonzero(np.isfinite(norms_T) & (norms_T > 0)).astype(np.float64)
    if len(lag) < 3:
        return float("nan")
    log = np.log(norms_T[lag.astype(int)])
    lag, log = lag - lag.mean(), log - log.mean()
    total = float(log @ log)
    if total <= len(log) * (np.finfo(np.float32).eps * 4) ** 2:  # the norms' own rounding
        return 1.0
    return float((lag @ log) ** 2 / (lag @ lag) / total)
