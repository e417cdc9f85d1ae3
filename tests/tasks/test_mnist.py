"""MNIST is read by row, by pixel or in a permuted order."""

import jax.numpy as jnp
import numpy as np

from rnnexp.train.build import build_task
from tests.helpers.data_files import DATA, data_or_skip
from tests.helpers.task_batches import batch_of


def test_mnist_reading_orders() -> None:
    data_dir = data_or_skip(DATA["mnist"])
    rows = batch_of(build_task("mnist", data_dir)).inputs_TxBxI
    pixels = batch_of(build_task("mnist", data_dir, by="pixel")).inputs_TxBxI
    permuted = batch_of(build_task("mnist", data_dir, by="pixel", permuted=True)).inputs_TxBxI
    other = build_task("mnist", data_dir, by="pixel", permuted=True, permutation_seed=1)
    np.testing.assert_array_equal(pixels[:, 0, 0], rows[:, 0].reshape(784))
    order = np.random.default_rng(0).permutation(784)
    np.testing.assert_array_equal(permuted[:, 0, 0], pixels[order, 0, 0])
    assert bool(jnp.any(batch_of(other).inputs_TxBxI != permuted))
    np.testing.assert_allclose(build_task("mnist", data_dir).baseline["accuracy"], 0.1135)
