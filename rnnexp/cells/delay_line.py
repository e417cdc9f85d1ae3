"""A delay line: the last K values of something, newest first."""

import jax.numpy as jnp

from rnnexp.core.types import Array


def push(line_KxI: Array, newest_I: Array) -> Array:
    """The line one step later: `newest` first, the oldest dropped."""
    return jnp.concatenate([newest_I[None], line_KxI])[: line_KxI.shape[0]]


def taps(newest_I: Array, line_KxI: Array) -> Array:
    """The newest value and the K before it as one vector, ((K + 1) * I,)."""
    return jnp.concatenate([newest_I[None], line_KxI]).reshape(-1)
