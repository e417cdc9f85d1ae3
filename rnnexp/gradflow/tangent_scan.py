"""The scan that propagates tangent vectors along a cell's trajectories.

With J_t = ds_t/ds_{t-1} and Q_0 orthonormal, J_t Q_{t-1} = Q_t R_t. The mean of ln R_kk
over time is the k-th Lyapunov exponent: Benettin, Galgani, Giorgilli & Strelcyn 1980,
"Lyapunov characteristic exponents for smooth dynamical systems", Meccanica 15. The product
of J_t with each vector is one JVP of the step. A state is one vector of S numbers, its leaves
in the order of their names.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.core.errors import require_choice
from rnnexp.core.linalg import Basis, orthonormalise
from rnnexp.core.types import Array, Params, Tree
from rnnexp.scan.step import flat_transition

Push = Callable[[Array, Array, Array], tuple[Array, Array]]
"""`(state_S, tangents_KxS, x_I) -> (state_S, tangents_KxS)`, one step of one example."""
Pushed = tuple[Tree, Array]
"""What `advance` needs of the trajectories, and their tangent vectors (B, K, S)."""
Total = TypeVar("Total", bound=Tree)


def free_directions(cell: Cell, params: Params, leave_out: Sequence[str]) -> np.ndarray:
    """Which of the S coordinates of the state a tangent vector may start along.

    Raises `UsageError` for a leaf that the state does not have.
    """
    shapes = jax.eval_shape(cell.init_state, params)
    for leaf in leave_out:
        require_choice("state leaf", leaf, shapes)
    # in the order of `ravel_pytree`: by name
    return np.concatenate([np.full(shapes[k].size, k not in leave_out) for k in sorted(shapes)])


def tangent_push(cell: Cell, params: Params) -> Push:
    """A step of state and tangent vectors; `params` are prepared."""
    transition = flat_transition(cell, params)

    def push(state_S: Array, tangents_KxS: Array, x_I: Array) -> tuple[Array, Array]:
        new_S, times_jacobian = jax.linearize(lambda s: transition(s, x_I), state_S)
        # vectors as columns: the products of the flossing gradient round by their layout
        return new_S, jax.vmap(times_jacobian, 1)(tangents_KxS.T)

    return push


def scan_growth(
    advance: Callable[[Pushed, Tree], Pushed],
    pushed: Pushed,
    rows: Tree,
    total: Total,
    add: Callable[[Total, Basis, Tree], Total],
) -> Total:
    """Propagate tangent vectors by intervals, orthonormalise them after each, sum their growth.

    Args:
      advance: `(pushed, row) -> pushed` over one interval.
      rows: inputs of the intervals, leaves with a leading axis of intervals.
      add: `(total, bases of all trajectories after an interval, row) -> total`.
    """

    def interval(carry: tuple[Pushed, Total], row: Tree) -> tuple[tuple[Pushed, Total], None]:
        (place, tangents_BxKxS), total = advance(carry[0], row), carry[1]
        basis = jax.vmap(orthonormalise)(tangents_BxKxS)
        return ((place, basis.rows_KxS), add(total, basis, row)), None

    (_, total), _ = jax.lax.scan(interval, (pushed, total), rows)
    return total
