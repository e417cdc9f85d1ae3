"""The sums of many digits have the distribution that convolution gives."""

import numpy as np

from rnnexp.tasks.addition import sum_distribution


def test_the_distribution_of_sums_of_many_digits() -> None:
    number = [1 / 30] * 10 + [1 / 270] * 90 + [1 / 2700] * 900
    np.testing.assert_allclose(sum_distribution(3), np.convolve(number, number), rtol=1e-9)
    most = sum_distribution(6)
    assert len(most) == 2 * 10**6 - 1
    np.testing.assert_allclose(np.sum(most), 1)
    smallest, largest = 1 / 60**2, (1 / (6 * 900_000)) ** 2
    np.testing.assert_allclose([most[0], most[-1]], [smallest, largest], rtol=1e-4)
