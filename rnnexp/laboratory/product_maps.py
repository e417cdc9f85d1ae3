"""The product of many step Jacobians as a linear map that is never formed.

J v by forward-mode and J^T u by reverse-mode differentiation, step after step. Tangents
and cotangents keep a power of two of their own on their way, so the product may be larger
or smaller than the float type can hold.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array, Key
from rnnexp.laboratory.krylov import golub_kahan

StepAt = Callable[[Array], tuple[Callable[[Array], Array], Array]]
"""j -> the step of the flattened state, (S,) -> (S,), and the state it is linearised at."""


def by_products(
    step_at: StepAt,
    span: Array,
    block: np.ndarray,
    *,
    count: int,
    iterations: int,
    key: Key,
) -> tuple[Array, Array, Array]:
    """Singular values of the product of `span` step Jacobians, by JVP and VJP alone.

    Time is that of 2 * iterations passes over the steps, memory that of the trajectory and
    of 2 * iterations vectors.

    Args:
      step_at: for j = 0 ... span - 1.
      span: number of steps, an integer; it may be traced.
      block: the units, of the state before and after, that the map connects.

    Returns:
      Logarithms of the largest values, (count,), of the smallest, (), and bounds of the
      errors of the former, (count,), in nats. -inf for a map that is zero; NaN where a
      value is below its error, and for the smallest unless `iterations` is the block's size.
    """
    key_scale, key_start = jax.random.split(key)
    at = step_at(jnp.int32(0))[1]
    dtype = at.dtype

    def forward(v_N: Array) -> tuple[Array, Array]:
        def push(j: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            step, state = step_at(j)
            return _normalised(jax.jvp(step, (state,), (carry[0],))[1], carry[1])

        tangent = jnp.zeros_like(at).at[block].set(v_N)
        tangent, power = jax.lax.fori_loop(0, span, push, _normalised(tangent, jnp.int32(0)))
        return tangent[block], power

    def backward(u_N: Array) -> tuple[Array, Array]:
        def pull(j: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            step, state = step_at(span - 1 - j)
            return _normalised(jax.vjp(step, state)[1](carry[0])[0], carry[1])

        cotangent = jnp.zeros_like(at).at[block].set(u_N)
        cotangent, power = jax.lax.fori_loop(0, span, pull, _normalised(cotangent, jnp.int32(0)))
        return cotangent[block], power

    # one common power for the whole map: what it does to a random vector
    _, reference = _normalised(*forward(jax.random.normal(key_scale, block.shape, dtype)))

    def scaled(product: Callable[[Array], tuple[Array, Array]]) -> Callable[[Array], Array]:
        def call(vector: Array) -> Array:
            image, power = product(vector)
            # a result this small against the largest is none
            return jnp.ldexp(image, jnp.maximum(power - reference, -120))

        return call

    found = golub_kahan(
        scaled(forward),
        scaled(backward),
        block.size,
        count=count,
        iterations=iterations,
        key=key_start,
        dtype=dtype,
    )
    is_zero = found.values[0] == 0
    offset = reference.astype(dtype) * math.log(2)

    def logs(values: Array, errors: Array) -> Array:
        usable = values > errors
        log = jnp.where(usable, jnp.log(jnp.where(usable, values, 1.0)) + offset, jnp.nan)
        return jnp.where(is_zero, -jnp.inf, log)

    share = found.errors / jnp.where(is_zero, 1.0, found.values)
    error = -jnp.log1p(-jnp.where(share < 1, share, jnp.nan))
    return (
        logs(found.values, found.errors),
        logs(found.smallest, found.smallest_error),
        error,
    )


def _normalised(vector: Array, power: Array) -> tuple[Array, Array]:
    """The vector with its largest entry in [1/2, 1), and the power of two that it is to take."""
    largest = jnp.max(jnp.abs(vector))
    usable = jnp.isfinite(largest) & (largest > 0)
    shift = jnp.where(usable, jnp.frexp(largest)[1], 0)
    return jnp.ldexp(vector, -shift), power + shift
