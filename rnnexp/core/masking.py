"""Masks of batches with sequences of unequal lengths, padded at the end.

What the padding holds never matters, be it NaN or infinite. A mask after a function does not
achieve that for its gradient: the cotangent 0 of the padding times an infinite slope is NaN. So
padding is filled before the first function sees it (`fill_padding`).
"""

from typing import TypeVar

import jax
import jax.numpy as jnp

from rnnexp.core.registry import STEPWISE
from rnnexp.core.types import Array, Batch, State, Tree

Leaves = TypeVar("Leaves", bound=Tree)


def valid_steps(steps: int, lengths_B: Array | None) -> Array:
    """Which steps are valid, (T, B); without lengths all, (T, 1)."""
    if lengths_B is None:
        return jnp.ones((steps, 1), bool)
    return jnp.arange(steps, dtype=lengths_B.dtype)[:, None] < lengths_B[None, :]


def fill_padding(x_TxB: Array, lengths_B: Array | None) -> Array:
    """The sequences (T, B, ...) with the value of their first step in all of the padding.

    That value is one that occurs, so a function that is finite on the sequence (a logarithm, a
    ratio) is finite on its padding; a sequence of length 0 has zeros. No gradient flows from the
    padding. Without lengths the sequences themselves.
    """
    if lengths_B is None:
        return x_TxB
    axes = (1,) * (x_TxB.ndim - 2)
    some = (lengths_B > 0).reshape(1, -1, *axes)
    first = jax.lax.stop_gradient(jnp.where(some, x_TxB[:1], jnp.zeros_like(x_TxB[:1])))
    valid_TxB = valid_steps(x_TxB.shape[0], lengths_B)
    return jnp.where(valid_TxB.reshape(*valid_TxB.shape, *axes), x_TxB, first)


def fill_batch(batch: Batch, mode: str) -> Batch:
    """A batch of a task of that mode, with the padding of inputs and of targets filled."""
    inputs = fill_padding(batch.inputs_TxBxI, batch.lengths_B)
    targets = batch.targets
    if mode in STEPWISE:
        targets = fill_padding(targets, batch.lengths_B)
    elif mode == "asynchronous":
        targets = fill_padding(targets, batch.target_lengths_B)
    return batch._replace(inputs_TxBxI=inputs, targets=targets)


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
