"""Parameters away from their start, where many are zero: noise on all, biases included."""

import jax
from jax.flatten_util import ravel_pytree

from rnnexp.cells.base import Cell
from rnnexp.core.types import Key, Params, Tree


def with_noise(params: Tree, by: float, key: Key) -> Tree:
    """Parameters plus normal noise of that deviation."""
    flat, unravel = ravel_pytree(params)
    moved: Tree = unravel(flat + by * jax.random.normal(key, flat.shape))
    return moved


def noisy_params(cell: Cell, by: float = 0.3, seed: int = 1) -> Params:
    """A cell's initial parameters with noise."""
    drawn = jax.jit(lambda key: with_noise(cell.init(jax.random.key(0)), by, key))
    params: Params = drawn(jax.random.key(seed))
    return params
