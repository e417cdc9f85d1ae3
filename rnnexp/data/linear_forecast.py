"""Linear least squares of a target on the last steps of a window: a predictor with memory.

The prediction is b + sum over lags k of W_k x_{t-k}, fitted on the windows of training. A ridge of
1e-8 of the number of windows keeps columns that depend on each other, where least squares has no
single answer, from exploding; it changes nothing else within rounding (columns have deviation 1).
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg  # type: ignore[import-untyped]

RIDGE = 1e-8
MOST_FEATURES = 256
CHUNK_ROWS = 16_384


class Fit(NamedTuple):
    """Least squares with 0, 1, ... lags, nested in one Cholesky factor.

    Attributes:
      factor_PxP: lower factor of the features' products; the first is 1, then lag by lag.
      solved_PxO: the factor's solution of the products with the targets.
      lags: the most that a prediction can use.
    """

    factor_PxP: np.ndarray
    solved_PxO: np.ndarray
    lags: int


def lag_count(window_steps: int, inputs: int, windows: int) -> int:
    """How many steps of a window can be fitted: all, if there are windows and room enough."""
    return max(1, min(window_steps, min(MOST_FEATURES, windows // 2) // inputs))


def fit(x_NxI: np.ndarray, y_NxO: np.ndarray, ends_W: np.ndarray, ahead: int, lags: int) -> Fit:
    """Least squares of the targets at `ends_W + ahead` on the inputs at `ends_W` and before.

    Args:
      ends_W: the last rows of the windows, each with `lags` rows up to it.
    """
    size = 1 + lags * x_NxI.shape[1]
    products, crossed = np.zeros((size, size)), np.zeros((size, y_NxO.shape[1]))
    for begin in range(0, len(ends_W), CHUNK_ROWS):
        some = ends_W[begin : begin + CHUNK_ROWS]
        features = lagged(x_NxI, some, lags)
        products += features.T @ features
        crossed += features.T @ y_NxO[some + ahead]
    factor = np.linalg.cholesky(products + RIDGE * len(ends_W) * np.eye(size))
    return Fit(factor, scipy.linalg.solve_triangular(factor, crossed, lower=True), lags)


def predict(found: Fit, x_NxI: np.ndarray, ends_W: np.ndarray, lags: int) -> np.ndarray:
    """The predictions (W, O) from the last `lags` rows, by the fit to these alone."""
    size = 1 + lags * x_NxI.shape[1]
    factor, solved = found.factor_PxP[:size, :size], found.solved_PxO[:size]
    weights = scipy.linalg.solve_triangular(factor, solved, lower=True, trans="T")
    pieces = [
        lagged(x_NxI, ends_W[begin : begin + CHUNK_ROWS], lags) @ weights
        for begin in range(0, len(ends_W), CHUNK_ROWS)
    ]
    return np.concatenate(pieces)


def lagged(x_NxI: np.ndarray, ends_W: np.ndarray, lags: int) -> np.ndarray:
    """The features (W, 1 + lags * I): 1, the inputs at each end, those one step before, ..."""
    rows_WxL = ends_W[:, None] - np.arange(lags)[None]
    flat = x_NxI[rows_WxL].reshape(len(ends_W), -1)
    return np.concatenate([np.ones((len(ends_W), 1)), flat], 1)
