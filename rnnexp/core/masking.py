"""Masks of batches with sequences of unequal lengths, padded at the end."""

from typing import TypeVar

import jax
import jax.numpy as jnp

from rnnexp.core.types import Array, State, Tree

Leaves = TypeVar("Leaves", bound=Tree)


def valid_steps(steps: int, lengths_B: Array | None) -> Array:
    """Which steps are valid, (T, B); without lengths all, (T, 1)."""
    if lengths_B is None:
        return jnp.ones((steps, 1), bool)
    return jnp.arange(steps, dtype=lengths_B.dtype)[:, None] < lengths_B[None, :]


def states_before(start: Leaves, states: Leaves) -> Leaves:
    """The state before each step, (T, B, ...) by leaf, from the initial one and those after."""
    shifted: Leaves = jax.tree.map(
        lambda first, after: jnp.concatenate([first[None], after[:-1]]), start, states
    )
    return shifted


def hold(valid_B: Array, new: Array, old: Array) -> Array:
    """`new` where the step is valid, `old` elsewhere."""
    return jnp.where(valid_B.reshape(-1, *(1,) * (new.ndim - 1)), new, old)


def take_steps(x_TxBx: Array, index_TxB: Array) -> Array:
    """Rows `index_TxB` of every example."""
    index = index_TxB.reshape(*index_TxB.shape, *(1,) * (x_TxBx.ndim - 2))
    return jnp.take_along_axis(x_TxBx, index, axis=0)


def hold_ends(states: State, lengths_B: Array | None) -> State:
    """States after every step, (T, B, ...) by leaf; in the padding the last valid one."""
    if lengths_B is None:
        return states
    steps = next(iter(states.values())).shape[0]
    steps_Tx1 = jnp.arange(steps, dtype=lengths_B.dtype)[:, None]
    index_TxB = jnp.minimum(steps_Tx1, jnp.maximum(lengths_B - 1, 0)[None, :])
    return {name: take_steps(leaf, index_TxB) for name, leaf in states.items()}


def last_valid(x_TxBxI: Array, lengths_B: Array | None) -> Array:
    """The rows of each sequence's last valid step, (B, I)."""
    if lengths_B is None:
        return x_TxBxI[-1]
    return take_steps(x_TxBxI, jnp.maximum(lengths_B - 1, 0)[None, :])[0]


def reverse_valid(x_TxB: Array, lengths_B: Array | None) -> Array:
    """Every sequence reversed within its valid part; the padding stays in place."""
    steps = x_TxB.shape[0]
    if lengths_B is None:
        return x_TxB[::-1]
    t_Tx1 = jnp.arange(steps, dtype=lengths_B.dtype)[:, None]
    index_TxB = jnp.where(valid_steps(steps, lengths_B), lengths_B[None, :] - 1 - t_Tx1, t_Tx1)
    return take_steps(x_TxB, index_TxB)
