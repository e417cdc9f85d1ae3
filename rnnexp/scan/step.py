"""One step of a cell with a model's hooks around it, for scans and for measurements."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params, State

Transition = Callable[[Params, State, Array], State]


class Hook(NamedTuple):
    """A change of the state between two steps, such as dropout or a teacher.

    Attributes:
      before: `(state, t) -> state`, the input of the transition of step t.
      after: `(old, new, t) -> new`, applied to its result, before the probe.
    """

    before: Callable[[State, Array], State] | None = None
    after: Callable[[State, State, Array], State] | None = None


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
