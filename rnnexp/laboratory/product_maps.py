"""The product of many step Jacobians as a linear map, without forming matrices.

J v by forward-mode and J^T u by reverse-mode differentiation, step by step. Every tangent and
cotangent has its own power of two, so the product may exceed the range of the float type.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array, Key
from rnnexp.laboratory.krylov import KrylovValues, golub_kahan

StepAt = Callable[[Array], tuple[Callable[[Array], Array], Array]]
"""j -> the step of the flattened state, (S,) -> (S,), and its point of linearisation."""


def by_products(
    step_at: StepAt, span: Array, block: np.ndarray, *, count: int, iterations: int, key: Key
) -> tuple[Array, Array, Array]:
    """Singular values of the product of `span` step Jacobians, by JVPs and VJPs.

    It takes 2 * iterations passes over the steps, and stores as many vectors.

    Args:
      step_at: for j = 0 ... span - 1.
      span: number of steps, an integer; it may be traced.
      block: the coordinates of the state that the map connects.

    Returns:
      Logarithms of the largest values, (count,), of the smallest, (), and error bounds of the
      former, (count,), in nats. -inf for a map of zero; NaN where a value is below its error,
      and for the smallest unless `iterations` is the block's size.
    """
    key_scale, key_start = jax.random.split(key)
    at_S = step_at(jnp.int32(0))[1]

    def jvp(j: Array, tangent_S: Array) -> Array:
        step, state_S = step_at(j)
        later_S: Array = jax.jvp(step, (state_S,), (tangent_S,))[1]
        return later_S

    def vjp(j: Array, cotangent_S: Array) -> Array:
        step, state_S = step_at(span - 1 - j)
        earlier_S: Array = jax.vjp(step, state_S)[1](cotangent_S)[0]
        return earlier_S

    forward = _chained(jvp, span, block, at_S)
    backward = _chained(vjp, span, block, at_S)
    # one common power for the whole map, from the image of a random vector
    _, reference = _normalised(*forward(jax.random.normal(key_scale, block.shape, at_S.dtype)))
    maps = _scaled(forward, reference), _scaled(backward, reference)
    values = golub_kahan(
        *maps, block.size, count=count, iterations=iterations, key=key_start, dtype=at_S.dtype
    )
    return _logarithms(values, reference.astype(at_S.dtype) * math.log(2))


Product = Callable[[Array], tuple[Array, Array]]
"""A vector of the block -> its image, and the power of two to multiply that by."""


def _chained(
    one_step: Callable[[Array, Array], Array], span: Array, block: np.ndarray, like_S: Array
) -> Product:
    """The composition of the linear maps `(j, vector_S) -> vector_S`, j = 0 ... span - 1."""

    def product(v_N: Array) -> tuple[Array, Array]:
        def apply(j: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            return _normalised(one_step(j, carry[0]), carry[1])

        vector_S = jnp.zeros_like(like_S).at[block].set(v_N)
        start = _normalised(vector_S, jnp.int32(0))
        vector_S, power = jax.lax.fori_loop(0, span, apply, start)
        return vector_S[block], power

    return product


def _scaled(product: Product, reference: Array) -> Callable[[Array], Array]:
    """The map divided by a power of two."""

    def call(vector_N: Array) -> Array:
        image_N, power = product(vector_N)
        # smaller results have no effect
        return jnp.ldexp(image_N, jnp.maximum(power - reference, -120))

    return call


def _logarithms(krylov: KrylovValues, offset: Array) -> tuple[Array, Array, Array]:
    """Logarithms of the values, of the smallest, and error bounds of the former."""
    is_zero = krylov.values[0] == 0

    def logs(values: Array, errors: Array) -> Array:
        usable = values > errors
        log = jnp.where(usable, jnp.log(jnp.where(usable, values, 1.0)) + offset, jnp.nan)
        return jnp.where(is_zero, -jnp.inf, log)

    relative = krylov.errors / jnp.where(is_zero, 1.0, krylov.values)
    error = -jnp.log1p(-jnp.where(relative < 1, relative, jnp.nan))
    return logs(krylov.values, krylov.errors), logs(krylov.smallest, krylov.smallest_error), error


def _normalised(vector: Array, power: Array) -> tuple[Array, Array]:
    """The vector with its largest entry in [1/2, 1), and the new power of two."""
    largest = jnp.max(jnp.abs(vector))
    usable = jnp.isfinite(largest) & (largest > 0)
    shift = jnp.where(usable, jnp.frexp(largest)[1], 0)
    return jnp.ldexp(vector, -shift), power + shift
