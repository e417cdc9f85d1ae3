"""dL/ds_t of every unit and every step in one backward pass, for any cell.

A probe is applied to the probed leaves of the state after each step. All probes give the same
adjoints:

* `tap` is the identity; in the backward pass the cotangent becomes the derivative by its slot.
  It adds nothing to the forward pass.
* `norm_tap` stores only the norm of each example's cotangent.
* `perturb` adds the slot, a zero, to the state. The derivative by the slot is the adjoint by
  definition. It is the independent check, and the probe for parallel paths.

Training records norms through `norm_recorder`, which chooses the cheapest probe.

L is the loss averaged over the batch, so example b's adjoint dL/ds_t^b is 1/B of the
gradient of its own loss. Norms are *summed* over the batch, which makes them the mean
over examples of the norm of each example's own gradient, whatever the batch size. (Where
L pools steps of sequences of many lengths, an example counts by its fraction of the steps.)
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.masking import reverse_valid
from rnnexp.core.tree import stable_norm
from rnnexp.core.types import Array, Params, State, Tree
from rnnexp.models.stack import Unit
from rnnexp.scan.unroll import Probe, TimeLoop

LARGE_STATE = 1000000  # scalars of one step's state leaf over the batch

Profile = dict[str, Array]
"""Of one unit: ||dL/ds_t||, (T,), by the name of the state's leaf."""


@jax.custom_vjp
def tap(state: State, slot: State) -> State:
    """The state, unchanged; its cotangent becomes the derivative by `slot`."""
    return state


def _tap_forward(state: State, slot: State) -> tuple[State, None]:
    return state, None


def _tap_backward(_: None, cotangent: State) -> tuple[State, State]:
    return cotangent, cotangent


tap.defvjp(_tap_forward, _tap_backward)


@jax.custom_vjp
def norm_tap(state: State, slot: State) -> State:
    """The state, unchanged; the norms (B,) of its cotangent become the derivative by `slot`."""
    return state


def _norm_tap_backward(_: None, cotangent: State) -> tuple[State, State]:
    return cotangent, {name: _example_norms(leaf) for name, leaf in cotangent.items()}


def _example_norms(leaf_BxH: Array) -> Array:
    return stable_norm(leaf_BxH.reshape(leaf_BxH.shape[0], -1), axis=-1)


norm_tap.defvjp(_tap_forward, _norm_tap_backward)


def perturb(state: State, slot: State) -> State:
    """The state plus its slot."""
    return {name: leaf + slot[name] for name, leaf in state.items()}


def zero_slot(
    cell: Cell, params: Params, steps: int, batch_size: int, *, whole: bool = False
) -> State:
    """Zeros for a probe: the state's probed leaves (`whole`: all) with leading (T, B) axes."""
    state = cell.init_state(params)
    return {
        name: jnp.zeros((steps, batch_size, *state[name].shape), state[name].dtype)
        for name in (state if whole else cell.probed)
    }


def probes(apply: Callable[[State, State], State], slots: Sequence[State]) -> list[Probe]:
    """One probe a unit, of `tap`, `norm_tap` or `perturb`."""
    kind = {"additive": apply is perturb, "silent": apply is tap, "norms": apply is norm_tap}
    return [Probe(apply, slot, **kind) for slot in slots]


def value_grads_adjoints(
    loss: Callable[[Tree, Sequence[State]], tuple[Array, Any]], params: Tree, slots: Sequence[State]
) -> tuple[Array, Any, Tree, Sequence[State]]:
    """The loss, its extras, dL/dparams and dL/ds_t, in one backward pass.

    `loss` is `(params, slots) -> (loss, extras)` and passes the slots to its probes.
    """
    (value, extras), (grads, adjoints) = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(
        params, slots
    )
    return value, extras, grads, adjoints


class NormRecorder(NamedTuple):
    """Zero slots, their probe, and `norms`: `(derivatives by the slots, lengths) -> profiles`,
    all by unit."""

    slots: Sequence[State]
    apply: Callable[[State, State], State]
    norms: Callable[[Sequence[State], Sequence[Array | None]], list[Profile]]


def norm_recorder(
    units: Sequence[Unit],
    steps: Sequence[int],
    batch_size: int,
    *,
    additive: bool = False,
    whole: bool | None = None,
) -> NormRecorder:
    """The recorder of norms of least cost; `experiments/recording_cost.py` measures it.

    Norms computed inside the backward scan store almost nothing, but add a few kernels to each
    step. Small states therefore store their cotangents, and all norms are computed afterwards.

    Args:
      steps: steps of each unit's sequence.
      additive: for a parallel path, which allows no probe but an addition.
      whole: store cotangents (True) or norms alone (False); None: by the states' size.
    """
    slots = [
        zero_slot(unit.layer.cell, unit.layer.params(), count, batch_size)
        for unit, count in zip(units, steps, strict=True)
    ]
    largest = max(leaf[0].size for slot in slots for leaf in slot.values())
    whole = additive or (largest < LARGE_STATE if whole is None else whole)
    apply: Callable[[State, State], State] = perturb if additive else tap
    if not whole:
        apply = norm_tap
        slots = [{k: jnp.zeros(v.shape[:2], v.dtype) for k, v in s.items()} for s in slots]
    to_norms = jax.vmap(_example_norms) if whole else jnp.asarray

    def norms(adjoints: Sequence[State], lengths: Sequence[Array | None]) -> list[Profile]:
        return [
            {leaf: _profile(to_norms(value), unit.backward, ends) for leaf, value in slot.items()}
            for unit, slot, ends in zip(units, adjoints, lengths, strict=True)
        ]

    return NormRecorder(slots, apply, norms)


def wanted_whole(time_loop: TimeLoop) -> bool | None:
    """`whole` of `norm_recorder` for a time loop.

    The compiled CPU kernel computes norms at almost no cost, the GPU kernel has none, and a loop
    that recomputes states to save memory should store no cotangents.
    """
    if time_loop.kernel:
        return time_loop.fused != ""
    return False if time_loop.remat_steps else None


def mean_norms(adjoint: State) -> Profile:
    """||dL/ds_t||, (T,), of a forward unit's adjoints, scaled as the module says."""
    return {leaf: _profile(jax.vmap(_example_norms)(v), False, None) for leaf, v in adjoint.items()}


def _profile(norms_TxB: Array, backward: bool, lengths_B: Array | None) -> Array:
    """Norms summed over the batch, in the sequence's own order of time."""
    ordered = reverse_valid(norms_TxB, lengths_B) if backward else norms_TxB
    return jnp.sum(ordered, 1)
