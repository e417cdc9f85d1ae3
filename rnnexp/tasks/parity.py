"""Parity: whether a sequence of bits has an odd number of ones.

Each step is one bit, -1 for 0 and +1 for 1; the answer comes after the last one. Two
states solve it at every length, but the answer depends on every bit and is independent of
any part of them. For recurrent networks: Bengio, Simard & Frasconi 1994, "Learning
long-term dependencies with gradient descent is difficult".

From two steps on the answer is independent of the last bit, so without memory chance is
the best: ln(2) nats, an accuracy of 1/2.
"""

import jax
import jax.numpy as jnp

from rnnexp.core.errors import require_at_least
from rnnexp.core.types import Batch, Key
from rnnexp.tasks.base import Task, one_length
from rnnexp.tasks.classification import drawn_classes


def parity(*, length_steps: int = 8) -> Task:
    """Parity of `length_steps` bits; class 1 is an odd number of ones.

    Args:
      length_steps: bits of a sequence, 2 or more.

    Raises `UsageError` below 2 steps, where no memory is needed.
    """
    require_at_least(2, length_steps=length_steps)
    return drawn_classes(
        "parity",
        lambda key, batch_size: draw(key, batch_size, length_steps),
        input_size=1,
        classes=2,
        num_steps=length_steps,
        lengths=one_length("steps", length_steps, lambda n: parity(length_steps=n)),
    )


def draw(key: Key, batch_size: int, length_steps: int) -> Batch:
    """Bits as -1 and +1, (T, B, 1); targets are the parities, (B,)."""
    bits_TxB = jax.random.bernoulli(key, shape=(length_steps, batch_size)).astype(jnp.int32)
    inputs_TxB = (2 * bits_TxB - 1).astype(float)
    return Batch(inputs_TxB[..., None], jnp.sum(bits_TxB, 0, dtype=jnp.int32) % 2)
