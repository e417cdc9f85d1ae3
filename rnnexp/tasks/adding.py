"""Adding: the sum of the two marked numbers of a long sequence.

Each step has a number drawn from U[0, 1] and a marker that is 1 at two steps, one in
each half, and 0 elsewhere. Hochreiter & Schmidhuber 1997 in the form of Le, Jaitly &
Hinton 2015. Always answering 1 gives a squared error of 1/6, the variance of the sum.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.errors import require_at_least
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Score, Task, one_length
from rnnexp.tasks.scores import once


def adding(*, length_steps: int = 50) -> Task:
    """Add the two marked numbers; the loss is the squared error.

    Args:
      length_steps: steps of a sequence, 2 or more.
    """
    require_at_least(2, length_steps=length_steps)
    source = Endless(lambda key, batch_size: draw(key, batch_size, length_steps))
    return Task(
        name="adding",
        mode="sequence_to_one",
        input_size=2,
        output_size=1,
        num_steps=length_steps,
        train=source,
        valid=source,
        test=source,
        scores=scores,
        baseline={"loss": 1 / 6},
        headline="loss",
        higher_is_better=False,
        lengths=one_length("steps", length_steps, lambda n: adding(length_steps=n)),
    )


def draw(key: Key, batch_size: int, length_steps: int) -> Batch:
    """A batch of numbers and markers, (T, B, 2); targets are the sums, (B, 1)."""
    key_value, key_first, key_second = jax.random.split(key, 3)
    half = length_steps // 2
    value_TxB = jax.random.uniform(key_value, (length_steps, batch_size))
    first_B = jax.random.randint(key_first, (batch_size,), 0, half)
    second_B = jax.random.randint(key_second, (batch_size,), half, length_steps)
    t_Tx1 = jnp.arange(length_steps)[:, None]
    marked_TxB = (t_Tx1 == first_B[None, :]) | (t_Tx1 == second_B[None, :])
    marker_TxB = marked_TxB.astype(value_TxB.dtype)
    total_B = jnp.sum(value_TxB * marker_TxB, 0)
    return Batch(jnp.stack([value_TxB, marker_TxB], -1), total_B[:, None])


def scores(outputs_Bx1: Array, batch: Batch) -> dict[str, Score]:
    """The squared error."""
    return {"loss": once(jnp.square(outputs_Bx1 - batch.targets)[:, 0])}
