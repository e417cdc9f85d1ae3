"""All vectors of some bits, and small features and frames."""

import numpy as np


def all_bits(count: int) -> np.ndarray:
    """Every vector of so many bits, (2^count, count)."""
    numbers = np.arange(2**count)[:, None]
    bits: np.ndarray = (numbers >> np.arange(count)[None]) & 1
    return bits.astype(float)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-x)))
