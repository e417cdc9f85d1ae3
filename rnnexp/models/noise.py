"""Noise in a model, and hooks that change a state between two steps.

All of it is off by default. `key` is None in evaluation. The rates of dropout may be traced
values, so that runs that differ in them share a program.

Where a batch is divided over devices (see `rnnexp.runtime.mesh`), every device draws the masks
of the whole batch and takes those of its own examples, so the masks are those of one device.
Each device spends the time and memory of all masks.
"""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Key, State
from rnnexp.runtime.mesh import BATCH_AXIS
from rnnexp.scan.step import Hook

Rates = Mapping[str, Array]
"""Traced rates of `dropout` and `recurrent_dropout`, in place of the structure's own."""


def own_part(draw: Callable[[tuple[int, ...]], Array], shape: tuple[int, ...], axis: int) -> Array:
    """This device's examples of `draw` for the whole batch.

    Args:
      draw: `shape -> array`.
      shape: of this device's part.
      axis: its axis of the batch.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if BATCH_AXIS not in mesh.manual_axes:
        return draw(shape)
    size = shape[axis]
    whole = draw((*shape[:axis], size * mesh.shape[BATCH_AXIS], *shape[axis + 1 :]))
    start = jax.lax.axis_index(BATCH_AXIS) * size
    return jax.lax.dynamic_slice_in_dim(whole, start, size, axis)


def dropout(x_TxBxH: Array, rate: float | Array, key: Key, *, one_mask: bool) -> Array:
    """Hide a fraction of the features and scale up the rest; `one_mask` for all steps.

    Srivastava et al. 2014, "Dropout"; one mask: Gal & Ghahramani 2016. (`nnx.Dropout`
    does not take a traced rate.)
    """
    shape = (1, *x_TxBxH.shape[1:]) if one_mask else x_TxBxH.shape
    kept = own_part(partial(jax.random.bernoulli, key, 1 - rate), shape, 1)
    kept = jnp.broadcast_to(kept, x_TxBxH.shape)
    return jnp.where(kept, x_TxBxH / (1 - rate), jnp.zeros_like(x_TxBxH))


def recurrent_dropout(cell: Cell, rate: float | Array, key: Key | None) -> Hook:
    """Hide a fraction of the hidden state from every transition, one mask for all steps.

    Gal & Ghahramani 2016, "A theoretically grounded application of dropout in recurrent
    neural networks". The rest is scaled up, so evaluation needs no hook.
    """
    if key is None:
        return Hook()

    def before(state: State, t: Array) -> State:
        del t
        h = state[cell.hidden]
        kept = own_part(partial(jax.random.bernoulli, key, 1 - rate), h.shape, 0)
        return {**state, cell.hidden: jnp.where(kept, h / (1 - rate), jnp.zeros_like(h))}

    return Hook(before=before)


def zoneout(cell: Cell, rate: float, key: Key | None) -> Hook:
    """Keep a fraction of the state's units at their old value, drawn at every step.

    Krueger et al. 2017, "Zoneout: regularizing RNNs by randomly preserving hidden
    activations". Evaluation takes the expectation.
    """

    def after(old: State, new: State, t: Array) -> State:
        mixed = dict(new)
        for number, leaf in enumerate(cell.probed):
            if key is None:
                mixed[leaf] = rate * old[leaf] + (1 - rate) * new[leaf]
            else:
                step_key = jax.random.fold_in(jax.random.fold_in(key, number), t)
                draw = partial(jax.random.bernoulli, step_key, rate)
                stays = own_part(draw, new[leaf].shape, 0)
                mixed[leaf] = jnp.where(stays, old[leaf], new[leaf])
        return mixed

    return Hook(after=after)


def teacher(leaf: str, values_TxBxO: Array, forced_steps: int) -> Hook:
    """Show a network with output feedback the true outputs of the first `forced_steps`.

    Step t sees the true output of step t - 1 (nothing at t = 0).
    """

    def before(state: State, t: Array) -> State:
        true_BxO = values_TxBxO[jnp.maximum(t - 1, 0)]
        speaks = ((t > 0) & (t <= forced_steps)).astype(true_BxO.dtype)
        flag_Bx1 = jnp.full_like(true_BxO[:, :1], speaks)
        return {**state, leaf: jnp.concatenate([true_BxO, flag_Bx1], -1)}

    return Hook(before=before)
