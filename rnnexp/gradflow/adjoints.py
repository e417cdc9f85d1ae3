"""dL/ds_t for every layer and every step at once, without a line in any cell.

A probe sits on the state after each step. All probes give the same adjoints:

* `tap` is the identity whose backward pass hands the cotangent that flows through it
  to its slot. It adds nothing to the forward pass.
* `norm_tap` hands over only the cotangent's norm, example by example.
* `perturb` adds the slot, a zero, to the state. The derivative by the slot is the
  adjoint by definition; it is the independent check.

Training records norms through `norm_recorder`, which takes the cheaper of the first two.

L is the loss averaged over the batch, so example b's adjoint dL/ds_t^b is 1/B of the
gradient of its own loss. Norms are *summed* over the batch, which makes them the mean
over examples of the norm of each example's own gradient, whatever the batch size.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.trees import stable_norm
from rnnexp.types import Array, Params, State, Tree
from rnnexp.unroll import Probe

LARGE_STATE = 1000000  # scalars of one step's state leaf over the batch


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


def zero_slots(
    cells: Sequence[Cell], params: Sequence[Params], steps: int, batch_size: int
) -> list[State]:
    """Zeros for every layer's probe: its state's leaves with leading (T, B) axes."""

    def zeros(leaf: Array) -> Array:
        return jnp.zeros((steps, batch_size, *leaf.shape), leaf.dtype)

    return [
        {name: zeros(leaf) for name, leaf in cell.init_state(p).items()}
        for cell, p in zip(cells, params, strict=True)
    ]


def probes(apply: Callable[[State, State], State], slots: Sequence[State]) -> list[Probe]:
    """One probe a layer, of `tap` or `perturb`."""
    return [Probe(apply, slot) for slot in slots]


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
    """Zero slots, the probe that they belong to, and how their derivatives become norms."""

    slots: Sequence[State]
    apply: Callable[[State, State], State]
    mean_norms: Callable[[Sequence[State]], dict[str, Array]]


def norm_recorder(
    cells: Sequence[Cell], params: Sequence[Params], steps: int, batch_size: int
) -> NormRecorder:
    """What records `mean_norms` at the least cost; `experiments/recording_cost.py` measures it.

    Norms taken inside the backward scan find the cotangent in the processor's cache and
    store almost nothing; but each step then runs a few more kernels, which small states
    feel, so those store their cotangents and take all norms at once afterwards.
    """
    slots = zero_slots(cells, params, steps, batch_size)
    largest = max(leaf[0].size for layer in slots for leaf in layer.values())
    if largest < LARGE_STATE:
        return NormRecorder(slots, tap, mean_norms)
    slots = [
        {name: jnp.zeros(leaf.shape[:2], leaf.dtype) for name, leaf in s.items()} for s in slots
    ]
    return NormRecorder(slots, norm_tap, lambda norms: _by_leaf(norms, lambda x: jnp.sum(x, 1)))


def mean_norms(adjoints: Sequence[State]) -> dict[str, Array]:
    """Mean over the batch of ||dL/ds_t||, (L, T), by the name of the state's leaf.

    Every layer's state must have the same leaves. See the module's text on scale.
    """

    return _by_leaf(adjoints, lambda leaf_TxBxH: jnp.sum(jax.vmap(_example_norms)(leaf_TxBxH), 1))


def _by_leaf(layers: Sequence[State], reduce: Callable[[Array], Array]) -> dict[str, Array]:
    """`reduce` applied to every leaf of every layer; layers become the first axis."""
    return {name: jnp.stack([reduce(layer[name]) for layer in layers]) for name in layers[0]}
