"""Inputs and weights for comparisons with other implementations."""

import jax

from rnnexp.core.types import Array, Params

T, B, I, H = 9, 3, 4, 6  # noqa: E741


def inputs() -> tuple[Array, Array]:
    """Inputs (T, B, I), and weights of a loss over all outputs (T, B, H)."""
    key_x, key_w = jax.random.split(jax.random.key(5))
    return jax.random.normal(key_x, (T, B, I)), jax.random.normal(key_w, (T, B, H))


def noisy(params: Params) -> Params:
    """Weights away from zero everywhere, biases included."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(6), len(leaves))
    moved = [v + 0.2 * jax.random.normal(k, v.shape) for k, v in zip(keys, leaves, strict=True)]
    restored: Params = jax.tree.unflatten(structure, moved)
    return restored
