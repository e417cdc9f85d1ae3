"""Small networks, their Jacobian products, and the singular values of these by NumPy alone."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.core.types import Array, Params
from rnnexp.laboratory.jacobians import step_jacobians
from rnnexp.laboratory.products import ProductSpectrum, jacobian_products
from tests.helpers.noisy_params import noisy_params
from tests.helpers.variants import build

T, B, I, H = 8, 2, 3, 4  # noqa: E741
SPANS = (1, 3, 5)
STARTS = (0, 3)


@lru_cache(maxsize=16)
def cell_of(name: str, *options: tuple[str, Any]) -> Cell:
    """The same cell for every test, so that its programs are compiled once."""
    return build((name, dict(options)), I, H)


def inputs(steps: int = T, batch_size: int = B) -> Array:
    """A batch."""
    return jax.random.normal(jax.random.key(2), (steps, batch_size, I))


class Expected(NamedTuple):
    """Means of logarithms over starts and examples, as in `ProductSpectrum`."""

    singular: np.ndarray
    smallest: np.ndarray
    condition: np.ndarray


def by_numpy(
    cell: Cell,
    params: Params,
    x_TxBxI: Array,
    *,
    spans: tuple[int, ...],
    starts: tuple[int, ...],
    which: str,
) -> Expected:
    """Explicit step Jacobians multiplied one after the other, and their SVD."""
    shapes = jax.eval_shape(cell.init_state, params)
    inside = [
        np.full(shapes[name].size, which == "state" or name == cell.hidden)
        for name in sorted(shapes)
    ]
    block = np.flatnonzero(np.concatenate(inside))
    jacobians = jax.jit(jax.vmap(lambda x: step_jacobians(cell, params, x), 1))(x_TxBxI)
    logs = np.empty((len(starts), len(jacobians), len(spans), block.size))
    for b, J in enumerate(np.asarray(jacobians)):
        for i, t in enumerate(starts):
            for n, k in enumerate(spans):
                product = np.eye(J.shape[1])
                for matrix in J[t : t + k]:
                    product = matrix @ product
                block_NxN = product[np.ix_(block, block)]
                logs[i, b, n] = np.log(np.linalg.svd(block_NxN, compute_uv=False))
    condition = logs[..., 0] - logs[..., -1]
    return Expected(logs.mean((0, 1)), logs[..., -1].mean((0, 1)), condition.mean((0, 1)))


def orthonormal(size: int = H, seed: int = 0) -> Array:
    """An orthogonal matrix, drawn at random."""
    return jnp.asarray(np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0])


def size_of(name: str, which: str) -> int:
    """Units of the block."""
    return 2 * H if (name, which) == ("lstm", "state") else H


def products(name: str, method: str, which: str = "hidden", **given: Any) -> ProductSpectrum:
    """Of a small cell; where only numbers differ, the program is the same."""
    defaults: dict[str, Any] = {"count": size_of(name, which), "spans": SPANS, "starts": STARTS}
    cell = cell_of(name)
    x = given.pop("x", inputs())
    return jacobian_products(
        *(cell, noisy_params(cell), x), method=method, which=which, **{**defaults, **given}
    )
