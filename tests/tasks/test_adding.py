"""The adding task marks one value in each half; its target is their sum."""

import jax.numpy as jnp
import numpy as np

from rnnexp.train.build import build_task
from tests.helpers.task_batches import batch_of, mean_scores


def test_adding() -> None:
    task = build_task("adding", length_steps=31)
    batch = batch_of(task, size=20_000)
    value, marker = batch.inputs_TxBxI[..., 0], batch.inputs_TxBxI[..., 1]
    np.testing.assert_array_equal(jnp.sum(marker[:15], 0), 1)
    np.testing.assert_array_equal(jnp.sum(marker[15:], 0), 1)
    np.testing.assert_allclose(jnp.sum(value * marker, 0), batch.targets[:, 0], rtol=1e-6)
    assert mean_scores(task, batch.targets, batch) == {"loss": 0}
    ones = mean_scores(task, jnp.ones((20_000, 1)), batch)
    # the squared error of a sum of two uniforms has deviation 0.186, its mean here 0.0013
    np.testing.assert_allclose(ones["loss"], task.baseline["loss"], atol=0.0066)
