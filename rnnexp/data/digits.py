"""scikit-learn's digits: 1,797 images of 8 x 8, part of that package, no download.

The test set of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998).
"""

from typing import NamedTuple

import numpy as np


class Digits(NamedTuple):
    """Grey levels 0-16, (N, 8, 8), and labels 0-9, (N,), both uint8."""

    images: np.ndarray
    labels: np.ndarray


def load() -> Digits:
    """All 1,797 examples in the file's order."""
    from sklearn.datasets import load_digits  # takes over a second to import

    bunch = load_digits()
    return Digits(bunch.images.astype(np.uint8), bunch.target.astype(np.uint8))
