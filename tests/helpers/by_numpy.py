"""Functions of cells, written in NumPy."""

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function."""
    result: np.ndarray = 1 / (1 + np.exp(-x))
    return result
