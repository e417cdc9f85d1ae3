"""A recurrent layer: a cell and its parameters as a Flax NNX module."""

import jax.numpy as jnp
from flax import nnx

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Key, Params, State, Tree
from rnnexp.scan.step import Hook, prepare_batch
from rnnexp.scan.unroll import Probe, TimeLoop, Unrolled, initial_state, unroll

START = "start_"
OWN = "own_"
"""Begins the attribute of a parameter whose name the module needs for itself."""


def attribute(name: str) -> str:
    """The attribute that holds the cell's parameter `name`: of that name, if it is free."""
    taken = name in TAKEN or name.startswith((START, OWN))
    return OWN + name if taken else name


class Recurrent(nnx.Module):
    """Holds a cell's parameters, one `nnx.Param` a name, and unrolls it over time.

    The module owns parameters only; states and randomness are arguments of each call.

    Args:
      learned_state: the initial values of the cell's probed leaves are parameters too,
        initially the cell's own.
    """

    def __init__(self, cell: Cell, key: Key, *, learned_state: bool = False):
        self.cell = cell
        params = cell.init(key)
        for name, value in params.items():
            setattr(self, attribute(name), nnx.Param(value))
        self.learned = cell.probed if learned_state else ()
        start = cell.init_state(params)
        for leaf in self.learned:
            setattr(self, START + leaf, nnx.Param(start[leaf]))

    def params(self) -> Params:
        """The cell's parameters as a plain dict."""
        held = nnx.to_pure_dict(nnx.state(self, nnx.Param))
        own = {name: value for name, value in held.items() if not name.startswith(START)}
        return {name.removeprefix(OWN): value for name, value in own.items()}

    def param(self, name: str) -> nnx.Param[Array]:
        """The module's own variable of a parameter, which another module may hold too."""
        held: nnx.Param[Array] = getattr(self, attribute(name))
        return held

    def start(self, batch_size: int, context: Tree = None) -> State:
        """The initial state of a batch."""
        params = self.params()
        if self.cell.start is not None:
            params = prepare_batch(self.cell, params, context)
        state = dict(initial_state(self.cell, params, batch_size))
        for leaf in self.learned:
            value: Array = getattr(self, START + leaf)[...]
            state[leaf] = jnp.broadcast_to(value, (batch_size, *value.shape))
        return state

    def __call__(
        self,
        x_TxBxI: Array,
        *,
        lengths_B: Array | None = None,
        context: Tree = None,
        state: State | None = None,
        probe: Probe | None = None,
        hooks: tuple[Hook, ...] = (),
        time_loop: TimeLoop = TimeLoop(),  # noqa: B008  an immutable value
        keep_states: bool = False,
    ) -> Unrolled:
        """Run the layer over a batch of sequences; see `unroll`."""
        if state is None:
            state = self.start(x_TxBxI.shape[1], context)
        return unroll(
            self.cell, self.params(), x_TxBxI, lengths_B=lengths_B, context=context, state=state,
            probe=probe, hooks=hooks, time_loop=time_loop, keep_states=keep_states,
        )  # fmt: skip


TAKEN = {*dir(Recurrent), "cell", "learned"}
"""Names that are no parameters."""
