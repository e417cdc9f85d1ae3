"""The baseline of an image task is what the class frequencies score."""

import jax.numpy as jnp
import numpy as np

from rnnexp.tasks.base import Finite
from rnnexp.train.build import build_task
from tests.helpers.task_batches import batch_of, mean_scores


def test_image_baselines_are_what_the_class_frequencies_score() -> None:
    task = build_task("digits")
    assert isinstance(task.train, Finite)
    assert isinstance(task.test, Finite)
    counts = np.bincount(np.asarray(task.train.arrays[1]), minlength=10)
    batch = batch_of(task, "test", task.test.size)
    outputs = jnp.broadcast_to(jnp.log(counts / counts.sum())[None], (task.test.size, 10))
    for name, value in mean_scores(task, outputs.astype(jnp.float32), batch).items():
        np.testing.assert_allclose(value, task.baseline[name], rtol=1e-5)
