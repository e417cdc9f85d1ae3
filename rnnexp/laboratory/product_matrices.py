"""The product of many explicit step Jacobians in graded form.

A second matrix marks the entries that the zeros of the factors leave non-zero. So a nilpotent
product, such as that of a delay line, is exactly zero; a QR factorisation, which mixes rows,
gives it up to rounding.
"""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array
from rnnexp.laboratory.graded_svd import Graded, advance, log_singular_values, start
from rnnexp.laboratory.product_maps import StepAt


def by_matrices(
    step_at: StepAt, spans_K: Array, block: np.ndarray, count: int
) -> tuple[Array, Array, Array]:
    """Singular values of the products of step Jacobians over increasing spans.

    Args:
      step_at: for j = 0 ... the longest span - 1.
      spans_K: numbers of steps, increasing.
      block: the coordinates of the state that the map connects.

    Returns:
      Logarithms of the largest values, (K, count), of the smallest, (K,), and zeros for the
      errors of the former; -inf for a zero, exact where it is structural.
    """
    at = step_at(jnp.int32(0))[1]
    select_NxS = jnp.eye(at.size, dtype=at.dtype)[block]

    def multiply(j: Array, carry: tuple[Graded, Array]) -> tuple[Graded, Array]:
        step, state_S = step_at(j)
        jacobian = jax.jacfwd(step)(state_S)
        reached = jnp.abs(jnp.sign(jacobian)) @ carry[1] > 0
        return advance(carry[0], jacobian), reached.astype(at.dtype)

    def to_span(
        carry: tuple[Graded, Array, Array], span: Array
    ) -> tuple[tuple[Graded, Array, Array], Array]:
        *product, steps = carry
        graded, reached = jax.lax.fori_loop(steps, span, multiply, tuple(product))
        seen = graded if block.size == at.size else advance(graded, select_NxS)
        # the number of non-zero rows or columns bounds the rank, without rounding
        paths = reached[block] > 0
        rank = jnp.minimum(*(jnp.sum(jnp.any(paths, axis=axis)) for axis in (0, 1)))
        logs = jnp.where(jnp.arange(block.size) < rank, log_singular_values(seen), -jnp.inf)
        return (graded, reached, span), logs

    identity = (start(select_NxS.T), select_NxS.T, jnp.int32(0))
    logs: Array = jax.lax.scan(to_span, identity, spans_K)[1]
    return logs[:, :count], logs[:, -1], jnp.zeros_like(logs[:, :count])
