"""Small cells for the fused kernels, whose interpreter is slow, and what they are called with."""

from typing import Any

import jax

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params, State
from rnnexp.gradflow.adjoints import zero_slot
from rnnexp.scan.unroll import TimeLoop, initial_state
from tests.helpers.kernel_cells import VARIANTS
from tests.helpers.variants import build as build_cell

T, I = 4, 3  # noqa: E741
SCAN = TimeLoop()
Given = tuple[Params, Array, State, State]


def made(name: str, hidden_size: int, batch_size: int) -> tuple[Cell, Given]:
    """A cell; parameters none of which is zero, inputs, a state, and zeros for the adjoints."""
    cell = build_cell(VARIANTS[name], I, hidden_size)

    @jax.jit
    def drawn(key: Array) -> Given:
        params = cell.init(key)
        keys = iter(jax.random.split(jax.random.key(1), 8))

        def shaken(tree: Any) -> Any:
            return {k: v + 0.3 * jax.random.normal(next(keys), v.shape) for k, v in tree.items()}

        x = jax.random.normal(next(keys), (T, batch_size, I))
        start = shaken(initial_state(cell, params, batch_size))
        return shaken(params), x, start, zero_slot(cell, params, T, batch_size)

    return cell, drawn(jax.random.key(0))
