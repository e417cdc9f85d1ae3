"""The bits of delayed XOR stand a delay apart in noise."""

import math

import numpy as np

from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of


def test_delayed_bits_are_delay_steps_apart_in_noise() -> None:
    x = np.asarray(batch_of(build_task("delayed_xor", delay_steps=12), 500).inputs_TxBxI)
    places = np.array([np.flatnonzero(marker) for marker in x[..., 1].T])
    assert set(places[:, 0]) == set(range(5))
    np.testing.assert_array_equal(places[:, 1] - places[:, 0], 12)
    noise = x[..., 0][x[..., 1] == 0]
    assert np.abs(noise).max() < 1
    # variance 1/3, and that of the square is 4/45
    np.testing.assert_allclose(noise.mean(), 0, atol=4.5 * math.sqrt(1 / 3 / noise.size))
    np.testing.assert_allclose((noise**2).mean(), 1 / 3, atol=4.5 * math.sqrt(4 / 45 / noise.size))
