"""Cells with a context as cells without: each with a context of its own that stays the same.

All that is tested of every cell is so tested of them. `example_context` has what they read.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from rnnexp.cells.base import CONTEXT, Cell
from rnnexp.core.types import Params, Tree


def example_context(name: str, input_size: int) -> Tree:
    """A context of one example for the cell of that name, with 4 inputs or more."""
    if name == "hopfield":
        x_MxN = jnp.sin(jnp.arange(1.0, 1.0 + 3 * input_size)).reshape(3, input_size)
        return {"patterns": x_MxN, "cue": 0.5 * x_MxN[0] + 0.1}
    return {
        "story": jnp.array([[1, 2, 3], [3, 1, 0], [2, 0, 0], [0, 0, 0]], jnp.int32),
        "question": jnp.array([3, 2, 0], jnp.int32),
        "time": jnp.array([3, 1, 0, 0], jnp.int32),
    }


def with_fixed_context(cell: Cell, example: Tree) -> Cell:
    """A cell that computes the same in that context, with its steps along the inputs."""
    context, start = cell.context, cell.start
    assert context is not None

    def seeing(params: Params) -> Params:
        prepared = cell.prepare(params)
        return {**prepared, CONTEXT: context(prepared, example)}

    def bound(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda params, *others: function(seeing(params), *others)

    return dataclasses.replace(
        cell,
        context=None,
        start=None,
        steps=0,
        init_state=cell.init_state if start is None else bound(start),
        transition=bound(cell.transition),
        output=bound(cell.output),
        gates=bound(cell.gates),
    )
