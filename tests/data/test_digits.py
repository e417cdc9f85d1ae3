"""The digits of scikit-learn are the known ones."""

import numpy as np

from rnnexp.data import digits


def test_facts_about_digits() -> None:
    images, labels = digits.load()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == labels.dtype == np.uint8
    assert (int(images.min()), int(images.max())) == (0, 16)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
