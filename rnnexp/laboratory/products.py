"""Singular values of the Jacobian products dh_{t+k}/dh_t along real trajectories.

What the backward pass carries from step t + k to step t is multiplied by the transpose of
dh_{t+k}/dh_t, so its singular values show by how much a gradient can grow or shrink over a
lag of k steps: Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013; their
whole distribution: Pennington, Schoenholz & Ganguli 2017, "Resurrecting the sigmoid in
deep learning through dynamical isometry".

Two ways, which agree. "exact" multiplies explicit step Jacobians in graded form (see
`rnnexp.laboratory.graded_svd`), so no product over- or underflows, and small singular values are
as good as the step Jacobians allow: a relative error of about k * eps * (the worst
condition number of one step). "krylov" never forms a matrix: J v by forward-mode and
J^T u by reverse-mode differentiation of the steps, in Golub-Kahan bidiagonalisation.
Its rounding is relative to the *largest* value; values below that are missing.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.types import Array, Key, Params, State
from rnnexp.laboratory.product_maps import by_products
from rnnexp.laboratory.product_matrices import by_matrices
from rnnexp.scan.step import flat_state, flat_transition
from rnnexp.scan.unroll import initial_state, unroll

METHODS = ("auto", "exact", "krylov")
BLOCKS = ("hidden", "state")
SPANS = (1, 2, 4, 8, 16, 32, 64)
EXACT_BYTES = 2**24  # about where the exact way begins to take seconds per trajectory
logger = logging.getLogger("rnnexp")


class ProductSpectrum(NamedTuple):
    """Logarithms (nats) of singular values, their means over trajectories and start times.

    A mean of logarithms is that of a geometric mean; it is -inf where one of the
    trajectories has a singular value of 0.

    Attributes:
      singular: (spans, rank), the largest ones; -inf for a zero. NaN where the Krylov way
        cannot tell the value from the rounding of the largest one.
      smallest: (spans,). NaN on the Krylov way unless it looked at every direction.
      condition: (spans,), of the ratio of largest to smallest; inf if the smallest is 0.
      error: (spans, rank), mean residual bound of the Krylov values; 0 on the exact way.
    """

    singular: Array
    smallest: Array
    condition: Array
    error: Array


def jacobian_products(
    cell: Cell,
    params: Params,
    x_TxBxI: Array,
    *,
    count: int,
    spans: Sequence[int] = SPANS,
    starts: Sequence[int] = (0,),
    method: str = "auto",
    which: str = "hidden",
    state: State | None = None,
    iterations: int | None = None,
    key: Key | None = None,
    exact_bytes: int = EXACT_BYTES,
) -> ProductSpectrum:
    """Singular values of ds_{t+k}/ds_t along the trajectories that inputs drive.

    For the hidden block the other leaves of s_t (c of an LSTM) are held fixed, but what
    h_t does to them in between flows on: it is a block of the product of whole Jacobians,
    not a product of blocks.

    Args:
      x_TxBxI: inputs, all of them valid steps.
      count: how many of the largest singular values.
      spans: k, in steps, growing.
      starts: t, in steps done: 0 is the initial state. t + k is at most T.
      method: "exact", "krylov", or "auto": exact while `product_bytes` is at most
        `exact_bytes`; which it was is logged.
      which: "hidden" for the hidden leaf, "state" for the whole flattened state.
      state: where the trajectories start, leaves (B, ...); None: the initial state.
      iterations: of the Krylov way; None: 4 * count + 16, or the size if that is less.
      key: for the Krylov way's start vectors; None: a fixed one.

    Raises:
      UsageError: a method or block that does not exist, or numbers out of range.
    """
    require_choice("method", method, METHODS)
    require_choice("block", which, BLOCKS)
    size = len(_block(cell, params, which))
    steps, batch_size, _ = x_TxBxI.shape
    _check(tuple(spans), tuple(starts), steps, count, size)
    if method == "auto":
        method = _chosen(cell, params, batch_size, which, exact_bytes)
    state = initial_state(cell, params, batch_size) if state is None else state
    key = jax.random.key(0) if key is None else key
    if method == "exact":
        iterations = None
    elif iterations is None:
        iterations = min(size, 4 * count + 16)
    # accelerators would shorten float32 in products, and rounding bounds what is resolved
    with jax.default_matmul_precision("float32"):
        spectrum: ProductSpectrum = _spectrum(
            *(cell, params, state, x_TxBxI, key),
            *(jnp.array(spans, jnp.int32), jnp.array(starts, jnp.int32)),
            which=which,
            count=count,
            iterations=iterations,
        )
    return spectrum


def _chosen(cell: Cell, params: Params, batch_size: int, which: str, exact_bytes: int) -> str:
    """The exact method while it needs at most so many bytes; logs which it is."""
    need = product_bytes(cell, params, batch_size, which=which)
    method = "exact" if need <= exact_bytes else "krylov"
    logger.info(
        "Jacobian products of %s: %s (exact needs %d bytes, limit %d)",
        *(cell.name, method, need, exact_bytes),
    )
    return method


def product_bytes(cell: Cell, params: Params, batch_size: int, *, which: str = "hidden") -> int:
    """Bytes that the exact way works in, B * (6 S^2 + 6 S N + 12 N^2) scalars.

    S is the size of the state, N that of the block; spans and start times add nothing
    to speak of, as they come one after the other.
    """
    leaves = jax.tree.leaves(jax.eval_shape(cell.init_state, params))
    S, N = sum(leaf.size for leaf in leaves), len(_block(cell, params, which))
    scalars = batch_size * (6 * S * S + 6 * S * N + 12 * N * N)
    return int(leaves[0].dtype.itemsize * scalars)


def _block(cell: Cell, params: Params, which: str) -> np.ndarray:
    """Where the block's units are in the flattened state."""
    shapes = jax.eval_shape(cell.init_state, params)
    marks = {k: np.full(v.shape, which == "state" or k == cell.hidden) for k, v in shapes.items()}
    return np.flatnonzero(np.concatenate([mark.ravel() for mark in jax.tree.leaves(marks)]))


def _check(
    spans: tuple[int, ...], starts: tuple[int, ...], steps: int, count: int, size: int
) -> None:
    """Raise `UsageError` for numbers that cannot be."""
    if not spans or spans[0] < 1 or any(b <= a for a, b in pairwise(spans)):
        raise UsageError(f"spans must be positive and growing, not {spans}")
    if not starts or min(starts) < 0 or max(starts) + spans[-1] > steps:
        raise UsageError(
            f"starts must lie in 0 ... {steps - spans[-1]} ({steps} steps, less the longest of "
            f"spans {spans}), not {starts}"
        )
    if not 1 <= count <= size:
        raise UsageError(f"count must lie in 1 ... {size}, the size of the block, not {count}")


Logs = tuple[Array, Array, Array]
"""Of one trajectory: largest and smallest singular values, and errors of the former."""


@partial(jax.jit, static_argnames=("cell", "which", "count", "iterations"))
def _spectrum(
    cell: Cell,
    params: Params,
    state: State,
    x_TxBxI: Array,
    key: Key,
    spans_K: Array,
    starts: Array,
    *,
    which: str,
    count: int,
    iterations: int | None,
) -> ProductSpectrum:
    """All trajectories at once and one start after the other; `iterations` None: exact."""
    params = cell.prepare(params)
    states = unroll(cell, params, x_TxBxI, state=state, keep_states=True).states
    whole = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), dict(state), states)
    states_TxBxS = jax.vmap(jax.vmap(flat_state))(whole)
    step = flat_transition(cell, params)
    block = _block(cell, params, which)

    def of_one(states_TxS: Array, x_TxI: Array, t: Array) -> Logs:
        def step_at(j: Array) -> tuple[Callable[[Array], Array], Array]:
            return lambda state_S: step(state_S, x_TxI[t + j]), states_TxS[t + j]

        if iterations is None:
            return by_matrices(step_at, spans_K, block, count)
        numbers = {"count": count, "iterations": iterations}
        found: Logs = jax.lax.map(
            lambda span: by_products(step_at, span, block, key=key, **numbers), spans_K
        )
        return found

    def of_start(t: Array) -> Logs:
        return jax.vmap(of_one, (1, 1, None))(states_TxBxS, x_TxBxI, t)

    logs, smallest, error = jax.lax.map(of_start, starts)
    condition = jnp.where(smallest == -jnp.inf, jnp.inf, logs[..., 0] - smallest)
    means = (jnp.mean(x, axis=(0, 1)) for x in (logs, smallest, condition, error))
    return ProductSpectrum(*means)
