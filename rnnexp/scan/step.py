"""One step of a cell with a model's hooks around it, for scans and for measurements."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import CONTEXT, Cell, as_they_are
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params, State, Tree

Transition = Callable[[Params, State, Array], State]


class Hook(NamedTuple):
    """A change of the state between two steps, such as dropout or a teacher.

    Attributes:
      before: `(state, t) -> state`, the input of the transition of step t.
      after: `(old, new, t) -> new`, applied to its result, before the probe.
    """

    before: Callable[[State, Array], State] | None = None
    after: Callable[[State, State, Array], State] | None = None


def prepare_batch(cell: Cell, params: Params, context: Tree = None) -> Params:
    """The prepared parameters for a batch: `CONTEXT` has the batch as its leaves' first axis.

    Parameters that have their context already stay as they are. Raises `UsageError` if the cell
    needs a context and there is none.
    """
    if cell.context is None:
        return cell.prepare(params)
    if CONTEXT in params:
        return params
    if context is None:
        raise UsageError(f"cell {cell.name!r} reads a context, and the batch has none")
    prepared = cell.prepare(params)
    of_example = jax.vmap(cell.context, in_axes=(None, 0))
    return {**prepared, CONTEXT: of_example(prepared, context)}


def over_batch(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(params, ...)` of one example, mapped over the batch.

    Parameters are shared by the batch, but for the context; everything else has the batch first.
    """

    def mapped(params: Params, *others: Any) -> Any:
        axes = None
        if CONTEXT in params:
            axes = {name: 0 if name == CONTEXT else None for name in params}
        return jax.vmap(function, in_axes=(axes, *(0 for _ in others)))(params, *others)

    return mapped


def hooked(
    transition: Transition, hooks: Sequence[Hook]
) -> Callable[[Params, State, Array, Array], State]:
    """`(params, state, x, t) -> state`: a transition with hooks around it, in their order."""

    def step(params: Params, old: State, x: Array, t: Array) -> State:
        seen = old
        for hook in hooks:
            seen = hook.before(seen, t) if hook.before else seen
        new = transition(params, seen, x)
        for hook in hooks:
            new = hook.after(old, new, t) if hook.after else new
        return new

    return step


def flat_transition(cell: Cell, params: Params) -> Callable[[Array, Array], Array]:
    """`(state_S, x_I) -> state_S`: one example's transition, all leaves as one vector."""
    unravel = ravel_pytree(cell.init_state(params))[1]

    def transition(state_S: Array, x_I: Array) -> Array:
        return flat_state(cell.transition(params, unravel(state_S), x_I))

    return transition


def flat_state(state: State) -> Array:
    """One example's state, (S,): all leaves as one vector, in the order of their names."""
    flat_S: Array = ravel_pytree(state)[0]
    return flat_S


def context_as_input(cell: Cell, params: Params, inputs_TxBxI: Array) -> tuple[Cell, Params, Array]:
    """A cell that reads its context with every input, its parameters, and these inputs.

    It computes the same, and everything that follows a cell along the inputs that drive it can
    follow this one. A cell without context, and its inputs, stay as they are.
    """
    if cell.context is None:
        return cell, params, inputs_TxBxI
    one = jax.tree.map(lambda leaf: leaf[0], params[CONTEXT])
    unravel, size = ravel_pytree(one)[1], cell.input_size
    context_BxC = jax.vmap(lambda leaves: ravel_pytree(leaves)[0])(params[CONTEXT])

    def bound(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(params: Params, state: State, x: Array) -> Any:
            return function({**params, CONTEXT: unravel(x[size:])}, state, x[:size])

        return call

    reading = dataclasses.replace(
        cell, input_size=size + context_BxC.shape[1], context=None, start=None, prepare=as_they_are,
        transition=bound(cell.transition), output=bound(cell.output), gates=bound(cell.gates),
    )  # fmt: skip
    own = {name: value for name, value in params.items() if name != CONTEXT}
    rows = jnp.broadcast_to(context_BxC, (len(inputs_TxBxI), *context_BxC.shape))
    return reading, own, jnp.concatenate([inputs_TxBxI, rows.astype(inputs_TxBxI.dtype)], -1)
