"""Large batches of tasks that draw their examples, and how far a share may be off."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array, Batch
from rnnexp.tasks.base import Endless, Task

KEY = jax.random.key(3)


def batch_of(task: Task, size: int) -> Batch:
    """A batch of the training source, drawn inside jit."""
    source = task.train
    assert isinstance(source, Endless)
    batch: Batch = jax.jit(source.draw, static_argnums=1)(KEY, size)
    return batch


def certain(labels: np.ndarray, classes: int) -> Array:
    """Logits that put all mass on the labels."""
    return 200 * jax.nn.one_hot(jnp.asarray(labels), classes, dtype=float)


def spread(cases: int, size: int) -> float:
    """4.5 standard deviations of the share of one of `cases` even cases in `size` draws."""
    return 4.5 * math.sqrt((1 - 1 / cases) / cases / size)
