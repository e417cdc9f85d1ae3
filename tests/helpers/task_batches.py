"""Tasks by name, with their data or a skip, and first batches of them."""

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, Batch, Tree
from rnnexp.tasks.base import Bucketed, Stream, Task
from rnnexp.tasks.batches import (
    bucket_batch,
    epoch_order,
    evaluation_batch,
    source_arrays,
    stream_batch,
)
from rnnexp.train.build import build_task
from tests.helpers.data_files import DATA, data_or_skip

B = 6
KEY = jax.random.key(0)


def task_named(name: str, **options: object) -> Task:
    """A task with its data, or a skip that says which file is missing."""
    file = DATA.get(name)
    return build_task(name, None if file is None else data_or_skip(file), **options)


def batch_of(task: Task, split: str = "train", size: int = B) -> Batch:
    """A first batch; of a task with buckets, from the longest one."""
    source = getattr(task, split)

    @jax.jit
    def drawn(arrays: Tree, key: Array, step: Array) -> Batch:
        match source:
            case Bucketed():
                order = epoch_order(source, key, step, size)
                last = len(source.buckets) - 1
                return bucket_batch(source, last, arrays, order, step, size)
            case Stream():
                return stream_batch(source, arrays, step, size)
        return evaluation_batch(source, arrays, key, step, size, size)[0]

    batch: Batch = drawn(source_arrays(source), KEY, jnp.array(0))
    return batch


def mean_scores(task: Task, outputs: Array, batch: Batch) -> dict[str, float]:
    """Scores of outputs averaged over the batch."""

    @jax.jit
    def means(outputs: Array, batch: Batch) -> dict[str, Array]:
        return {name: score.mean() for name, score in task.scores(outputs, batch).items()}

    return {name: float(mean) for name, mean in means(outputs, batch).items()}
