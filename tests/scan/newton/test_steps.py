"""Jacobians, their diagonals, and linear recurrences, against NumPy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array, Params
from rnnexp.scan.newton.steps import StepRows, diagonals, jacobians, one_step, solve_linear
from tests.helpers.newton_runs import arguments
from tests.helpers.variants import build

I, H = 3, 6  # noqa: E741


def test_jacobians_diagonals_and_linear_recurrences(x64: None) -> None:
    cell = build(("lstm", {"peepholes": True}), I, H)
    params, x, _, _ = arguments(cell, 8, 2)
    before = jax.random.normal(jax.random.key(5), (8, 2, 2 * H))
    rows = StepRows(x, {}, None)

    @jax.jit
    def both(params: Params, before: Array, rows: StepRows) -> Any:
        step = one_step(cell, params)
        return jacobians(step, before, rows), diagonals(step, before, rows)

    (new, full), (same, diagonal) = both(params, before, rows)
    np.testing.assert_allclose(new, same, atol=1e-14)
    np.testing.assert_allclose(diagonal, jnp.diagonal(full, axis1=-2, axis2=-1), atol=1e-14)
    right = jax.random.normal(jax.random.key(6), new.shape)
    for slopes in (full, diagonal):
        wanted, there = [], np.zeros(right.shape[1:])
        for slope, r in zip(np.asarray(slopes), np.asarray(right), strict=True):
            moved = slope * there if slope.ndim == 2 else np.einsum("bij,bj->bi", slope, there)
            wanted.append(there := moved + r)
        np.testing.assert_allclose(jax.jit(solve_linear)(slopes, right), wanted, atol=1e-12)
