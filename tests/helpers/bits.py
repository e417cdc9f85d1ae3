"""All vectors of some bits, and small features and frames."""

import numpy as np


def all_bits(count: int) -> np.ndarray:
    """Every vector of so many bits, (2^count, count)."""
    numbers = np.arange(2**count)[:, None]
    bits: np.ndarray = (numbers >> np.arange(count)[None]) & 1
    return bits.astype(float)


def assert_drawn(drawn: np.ndarray, p: np.ndarray, most: float = 4.5) -> None:
    """Drawn vectors (count, bits) are as frequent as their probabilities say, in the order of
    `all_bits`, within so many standard errors."""
    count, bits = drawn.shape
    counts = np.bincount((drawn @ 2 ** np.arange(bits)).astype(int), minlength=2**bits)
    error = np.sqrt(count * p * (1 - p)) + 1
    assert np.max(np.abs(counts - count * p) / error) < most


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-x)))
