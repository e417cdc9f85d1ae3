"""Weights and inputs that leave no part of a cell at rest, and the Jacobian of a step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params

T, B, I, H, C = 8, 3, 4, 6, 2  # noqa: E741


def normal(seed: int, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers, from NumPy: nothing to compile."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def noisy(cell: Cell) -> Params:
    """Weights of deviation 0.7 everywhere, biases included."""
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    return {k: 0.7 * normal(i, v.shape) for i, (k, v) in enumerate(shapes.items())}


def inputs() -> Array:
    """A batch of input sequences, (T, B, I)."""
    return normal(9, (T, B, I))


def jacobian(cell: Cell, params: Params, state: dict[str, Array], x_I: Array) -> np.ndarray:
    """d(new state) / d(old state), leaves side by side in the order of `state`."""
    names = list(state)
    tree: Any = jax.jacobian(lambda s: cell.transition(params, s, x_I))(state)
    return np.block([[np.asarray(tree[new][old]) for old in names] for new in names])
