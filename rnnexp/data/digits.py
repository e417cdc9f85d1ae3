"""scikit-learn's digits: 1,797 images of 8 x 8, part of that package, no download.

The test set of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998).
"""

from typing import NamedTuple

import numpy as np

CLASSES = 10
VALID, TEST = 180, 360
"""Examples for validation, and for the test."""


class Digits(NamedTuple):
    """Grey levels 0-16, (N, 8, 8), and labels 0-9, (N,), both uint8."""

    images: np.ndarray
    labels: np.ndarray


def load() -> Digits:
    """All 1,797 examples in the file's order."""
    from sklearn.datasets import load_digits  # takes over a second to import

    bunch = load_digits()
    return Digits(bunch.images.astype(np.uint8), bunch.target.astype(np.uint8))


def divided(split_seed: int) -> dict[str, Digits]:
    """The examples as `train` (1,257), `valid` (180) and `test` (360).

    `numpy.random.default_rng(split_seed)` shuffles them: the file is ordered by writer.
    """
    data = load()
    order = np.random.default_rng(split_seed).permutation(len(data.labels))
    ends = [len(order) - VALID - TEST, len(order) - TEST]
    parts = (Digits(data.images[part], data.labels[part]) for part in np.split(order, ends))
    return dict(zip(("train", "valid", "test"), parts, strict=True))


def black_and_white(data: Digits) -> np.ndarray:
    """The pixels in the order of reading, (N, 64), whether they are white."""
    white: np.ndarray = data.images.reshape(-1, 64) >= 8
    return white
