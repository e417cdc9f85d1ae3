"""A tanh cell whose parameters have the names of a layer's own attributes."""

import dataclasses

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Key, Params, State

NAMES = {"start_h": "w_x", "cell": "w_h", "params": "b"}
"""New name and old."""


def renamed(cell: Cell) -> Cell:
    """The cell with these names."""

    def old(params: Params) -> Params:
        return {before: params[name] for name, before in NAMES.items()}

    def init(key: Key) -> Params:
        drawn = cell.init(key)
        return {name: drawn[before] for name, before in NAMES.items()}

    def init_state(params: Params) -> State:
        return cell.init_state(old(params))

    def transition(params: Params, state: State, x_I: Array) -> State:
        return cell.transition(old(params), state, x_I)

    return dataclasses.replace(
        cell,
        init=init,
        init_state=init_state,
        transition=transition,
        recurrent_matrices=None,
        kernel=None,
    )
