"""dL/ds_t for every unit and every step at once, without a line in any cell.

A probe is applied to the probed leaves of the state after each step. All probes give the same
adjoints:

* `tap` is the identity whose backward pass hands the cotangent that flows through it
  to its slot. It adds nothing to the forward pass.
* `norm_tap` hands over only the cotangent's norm, example by example.
* `perturb` adds the slot, a zero, to the state. The derivative by the slot is the
  adjoint by definition; it is the independent check, and the way on parallel paths.

Training records norms through `norm_recorder`, which takes the cheapest that fits.

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
    del slot
    return state


def _tap_forward(state: State, slot: State) -> tuple[State, None]:
    del slot
    return state, None


def _tap_backward(_: None, cotangent: State) -> tuple[State, State]:
    return cotangent, cotangent


tap.defvjp(_tap_forward, _tap_backward)


@jax.custom_vjp
def norm_tap(state: State, slot: State) -> State:
    """The state, unchanged; the norms (B,) of its cotangent become the derivative by `slot`."""
    del slot
    return state


def _norm_tap_backward(_: None, cotangent: State) -> tuple[State, State]:
    return cotangent, {name: _example_norms(leaf) for name, leaf in cotangent.items()}


def _example_norms(leaf_BxH: Array) -> Array:
    return stable_norm(leaf_BxH.reshape(leaf_BxH.shape[0], -1), axis=-1)


norm_tap.defvjp(_tap_forward, _norm_tap_backward)


def perturb(state: State, slot: State) -> State:
    """The state plus its slot."""
    return {name: leaf + slot[name] for name, leaf in state.items()}


def zero_slot(cell: Cell, params: Params, steps: int, batch_size: int) -> State:
    """Zeros for a probe: the state's probed leaves with leading (T, B) axes."""
    state = cell.init_state(params)
    return {
        name: jnp.zeros((steps, batch_size, *state[name].shape), state[name].dtype)
        for name in cell.probed
    }


def probes(apply: Callable[[State, State], State], slots: Sequence[State]) -> list[Probe]:
    """One probe a unit, of `tap`, `norm_tap` or `perturb`."""
    kind = {"additive": apply is perturb, "silent": apply is tap, "norms": apply is norm_tap}
    return [Probe(apply, slot, **kind) for slot in slots]


def value_grads_adjoints(
    loss: Callable[[Tree, Sequence[State]], tuple[Array, Any]], params: Tree, slots: Sequence[State]
) -> tuple[Array, Any, Tree, Sequence[State]]:
    """One backward pass for all: the loss, its extras, dL/dparams and dL/ds_t.

    Args:
      loss: `(params, slots) -> (loss, extras)`, which passes the slots to its probes.
    """
    (value, extras), (grads, adjoints) = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(
        params, slots
    )
    return value, extras, grads, adjoints


class NormRecorder(NamedTuple):
    """Zero slots, the probe that they belong to, and how their derivatives become norms.

    `norms`: `(derivatives by the slots, lengths of every unit) -> profiles`, one a unit.
    """

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
    """What records norms at the least cost; `experiments/recording_cost.py` measures it.

    Norms taken inside the backward scan find the cotangent in the processor's cache and
    store almost nothing; but each step then runs a few more kernels, which small states
    feel, so those store their cotangents and take all norms at once afterwards.
    `wanted_whole` says what suits other paths.

    Args:
      steps: steps of each unit's sequence.
      additive: on a parallel path, where nothing but an addition can be put in.
      whole: store cotangents (True) or norms alone (False); None: as the states' size says.
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
    """Whether a time loop had better hand over cotangents (True), or norms alone; None: either.

    The compiled kernel of processors has norms for almost nothing, the one of graphics
    processors has none; and who computes states anew to save memory stores no cotangents.
    """
    if time_loop.kernel:
        return time_loop.fused != ""
    return False if time_loop.remat_steps else None


def mean_norms(adjoint: State) -> Profile:
    """||dL/ds_t||, (T,), of a forward unit's adjoints; see the module's text on scale."""
    return {leaf: _profile(jax.vmap(_example_norms)(v), False, None) for leaf, v in adjoint.items()}


def _profile(norms_TxB: Array, backward: bool, lengths_B: Array | None) -> Array:
    """Norms summed over the batch, in the sequence's own order of time."""
    ordered = reverse_valid(norms_TxB, lengths_B) if backward else norms_TxB
    return jnp.sum(ordered, 1)
