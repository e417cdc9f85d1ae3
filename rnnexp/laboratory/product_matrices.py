"""The product of many explicit step Jacobians in graded form.

Beside the product goes a table of where it may be other than zero, by the zeros of its
factors alone. A nilpotent product, such as that of a delay line, is then exactly zero,
which a QR factorisation, as it mixes rows, only knows up to rounding.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array
from rnnexp.laboratory.graded_svd import Graded, advance, log_singular_values, start
from rnnexp.laboratory.product_maps import StepAt


class _Product(NamedTuple):
    """A product of step Jacobians, and where it may be other than zero (1.0), by their zeros."""

    graded: Graded
    reached_SxN: Array
    steps: Array


def by_matrices(
    step_at: StepAt, spans_K: Array, block: np.ndarray, count: int
) -> tuple[Array, Array, Array]:
    """Singular values of the products of step Jacobians, from each span on to the next.

    Args:
      step_at: for j = 0 ... the longest span - 1.
      spans_K: numbers of steps, growing.
      block: the units, of the state before and after, that the map connects.

    Returns:
      Logarithms of the largest values, (K, count), of the smallest, (K,), and zeros for
      errors of the former; -inf for a zero, exactly where it is one by the zeros of the
      Jacobians.
    """
    at = step_at(jnp.int32(0))[1]
    select_NxS = jnp.eye(at.size, dtype=at.dtype)[block]

    def multiply(j: Array, carry: tuple[Graded, Array]) -> tuple[Graded, Array]:
        step, state_S = step_at(j)
        jacobian = jax.jacfwd(step)(state_S)
        reached = jnp.abs(jnp.sign(jacobian)) @ carry[1] > 0
        return advance(carry[0], jacobian), reached.astype(at.dtype)

    def to_span(carry: _Product, span: Array) -> tuple[_Product, Array]:
        begun = (carry.graded, carry.reached_SxN)
        graded, reached = jax.lax.fori_loop(carry.steps, span, multiply, begun)
        seen = graded if block.size == at.size else advance(graded, select_NxS)
        # where nothing leads from one unit to another there is no rounding either
        paths = reached[block] > 0
        rank = jnp.minimum(*(jnp.sum(jnp.any(paths, axis=axis)) for axis in (0, 1)))
        logs = jnp.where(jnp.arange(block.size) < rank, log_singular_values(seen), -jnp.inf)
        return _Product(graded, reached, span), logs

    identity = _Product(start(select_NxS.T), select_NxS.T, jnp.int32(0))
    logs: Array = jax.lax.scan(to_span, identity, spans_K)[1]
    return logs[:, :count], logs[:, -1], jnp.zeros_like(logs[:, :count])
