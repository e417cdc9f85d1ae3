"""A bound on the norm of dL/ds_t inside the backward pass.

The limit changes the gradient. An example's dL_b/ds_t (all leaves of its state as one vector)
whose norm exceeds the limit is rescaled to it before it reaches the parameters through step t,
and step t - 1. So no product of Jacobians grows past it, and an exploding sequence does not
affect the others' gradients, unlike clipping of the sum. The direction at step t is kept; that
of dL/dW, a sum over steps, is not. Graves 2013, "Generating sequences with recurrent neural
networks", section 2.1, clips the elements of such derivatives at every step.

L is the mean over a batch of B examples, so a cotangent is 1/B of dL_b/ds_t; the limit applies
to the latter, in the units of the profiles that a run records.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from rnnexp.core.tree import stable_norm
from rnnexp.core.types import Array, State
from rnnexp.gradflow.adjoints import NormRecorder, Profile, norm_recorder, perturb, tap, zero_slot
from rnnexp.models.stack import Unit


@jax.custom_vjp
def limit_adjoint(state: State, bound: Array) -> State:
    """The state, unchanged; the norm of each example's cotangent is limited to `bound`."""
    return state


def _forward(state: State, bound: Array) -> tuple[State, Array]:
    return state, bound


def _backward(bound: Array, cotangent: State) -> tuple[State, Array]:
    rows = [leaf.reshape(leaf.shape[0], -1) for leaf in cotangent.values()]
    norm_B = stable_norm(jnp.concatenate(rows, -1), axis=-1)
    # a non-finite norm stays non-finite, so the run reports a divergence
    factor_B = jnp.where(norm_B > bound, bound / norm_B, jnp.ones_like(norm_B))
    limited = {
        name: leaf * factor_B.reshape(-1, *(1,) * (leaf.ndim - 1))
        for name, leaf in cotangent.items()
    }
    return limited, jnp.zeros_like(bound)


limit_adjoint.defvjp(_forward, _backward)


def whole_recorder(
    units: Sequence[Unit], steps: Sequence[int], batch_size: int, *, additive: bool = False
) -> NormRecorder:
    """A recorder of dL/ds_t over all leaves of the state; its norms are of the probed ones."""
    slots = [
        zero_slot(unit.layer.cell, unit.layer.params(), count, batch_size, whole=True)
        for unit, count in zip(units, steps, strict=True)
    ]
    of_probed = norm_recorder(units, steps, batch_size, additive=True).norms

    def norms(adjoints: Sequence[State], lengths: Sequence[Array | None]) -> list[Profile]:
        kept = [
            {name: adjoint[name] for name in unit.layer.cell.probed}
            for unit, adjoint in zip(units, adjoints, strict=True)
        ]
        return of_probed(kept, lengths)

    return NormRecorder(slots, perturb if additive else tap, norms)


def limited(
    recorder: NormRecorder | None, units: Sequence[Unit], steps: Sequence[int], bound: Array
) -> NormRecorder:
    """A recorder that also limits every example's cotangent to `bound`.

    It records the limited cotangent, which training uses. Without a recorder it only limits.
    """
    slots: list[State] = []
    for number, (unit, count) in enumerate(zip(units, steps, strict=True)):
        state = unit.layer.cell.init_state(unit.layer.params())
        # a probe gets the leaves that its slots name
        nothing = {name: jnp.zeros(count, leaf.dtype) for name, leaf in state.items()}
        slots.append(nothing if recorder is None else {**nothing, **recorder.slots[number]})

    def apply(state: State, slot: State) -> State:
        if recorder is not None:
            own = {name for name, value in slot.items() if value.ndim > 0}
            seen = recorder.apply({k: state[k] for k in own}, {k: slot[k] for k in own})
            state = {**state, **seen}
        return limit_adjoint(state, bound)

    def norms(adjoints: Sequence[State], lengths: Sequence[Array | None]) -> list[Profile]:
        if recorder is None:
            return []
        kept = [
            {name: adjoint[name] for name in slot}
            for slot, adjoint in zip(recorder.slots, adjoints, strict=True)
        ]
        return recorder.norms(kept, lengths)

    return NormRecorder(slots, apply, norms)
