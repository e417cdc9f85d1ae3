"""Largest singular values of a linear map from its products with vectors.

Golub & Kahan 1965, "Calculating the singular values and pseudo-inverse of a matrix": from
a random unit vector the map A and its transpose build orthonormal U and V with A V = U B
and B upper bidiagonal, whose singular values converge to A's, the outermost first.
Every new vector is orthogonalised twice against all before it, so no value appears twice.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError
from rnnexp.core.linalg import svd
from rnnexp.core.tree import stable_norm
from rnnexp.core.types import Array, Key

Product = Callable[[Array], Array]
ROUNDING = 8.0  # times eps * sqrt(size) * the largest value: error of products and of B's SVD


class KrylovValues(NamedTuple):
    """Singular values by a Krylov method.

    Attributes:
      values: (count,), largest first, each at most the true one of its rank, up to rounding.
      errors: (count,): within this distance of each value there is a singular value of
        the map. It holds the residual ||A^T u - value v|| and the rounding, which is
        relative to the *largest* value: a value below its error cannot be distinguished from zero.
      smallest, smallest_error: the same of the smallest of all `size` values, where every
        direction was looked at (`iterations == size`); NaN where it was not, because the
        smallest value of B is then no bound on A's from either side.
    """

    values: Array
    errors: Array
    smallest: Array
    smallest_error: Array


def golub_kahan(
    matvec: Product,
    rmatvec: Product,
    size: int,
    *,
    count: int,
    iterations: int,
    key: Key,
    dtype: jnp.dtype | None = None,
) -> KrylovValues:
    """The `count` largest singular values of a linear map; with `iterations == size` the smallest.

    Where the Krylov space is exhausted, as for a rank-deficient or zero map, the iteration
    continues from a new random direction; repeated values then appear as often as they occur.
    Norms do not overflow, so the map may cover the range of the float type.

    Args:
      matvec: A v, (size,) -> (rows,).
      rmatvec: A^T u, (rows,) -> (size,).
      size: number of A's columns.
      iterations: products with A, and as many with A^T; at least `count`, at most `size`.
      dtype: of the vectors; None: JAX's default float type.

    Raises:
      UsageError: `count` or `iterations` out of range.
    """
    if not 1 <= count <= iterations <= size:
        raise UsageError(
            f"need 1 <= count <= iterations <= size, not count={count}, "
            f"iterations={iterations}, size={size}"
        )
    float_type = jnp.zeros((), dtype).dtype
    rows = jax.eval_shape(matvec, jax.ShapeDtypeStruct((size,), float_type)).shape[0]
    alphas, betas = _bidiagonalise(matvec, rmatvec, (rows, size), iterations, key, float_type)
    largest = jnp.maximum(jnp.max(alphas), jnp.max(betas))
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1.0)
    bidiagonal = jnp.diag(alphas / scale) + jnp.diag(betas[:-1] / scale, 1)
    left, values, _ = svd(bidiagonal)
    residuals = betas[-1] * jnp.abs(left[-1])
    rounding = ROUNDING * float(jnp.finfo(float_type).eps) * max(rows, size) ** 0.5
    values, errors = values * scale, residuals + rounding * values[0] * scale
    nan = jnp.full((), jnp.nan, float_type)
    smallest = (values[-1], errors[-1]) if iterations == size else (nan, nan)
    return KrylovValues(values[:count], errors[:count], *smallest)


def _bidiagonalise(
    matvec: Product,
    rmatvec: Product,
    shape: tuple[int, int],
    iterations: int,
    key: Key,
    dtype: jnp.dtype,
) -> tuple[Array, Array]:
    """Diagonal and superdiagonal of B, (iterations,) each; the last beta is outside B.

    The bases hold the vectors so far, and zeros: `left` (iterations, rows), `right` (.. + 1, size).
    """
    rows, size = shape
    # the start vector, and spare directions of both kinds for every step
    random = jax.random.normal(key, (iterations + 1, rows + size), dtype)
    first, _ = _unit(random[0, rows:], jnp.zeros((), dtype))

    def step(
        carry: tuple[Array, Array, Array], row: tuple[Array, Array]
    ) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
        left, right, scale = carry
        i, spare = row
        image = matvec(right[i])
        scale = jnp.maximum(scale, stable_norm(image))
        u, alpha = _next_vector(image, left, spare[:rows], scale)
        left = left.at[i].set(u)
        image = rmatvec(u)
        scale = jnp.maximum(scale, stable_norm(image))
        v, beta = _next_vector(image, right, spare[rows:], scale)
        return (left, right.at[i + 1].set(v), scale), (alpha, beta)

    index = jnp.arange(iterations, dtype=jnp.int32)
    left = jnp.zeros((iterations, rows), dtype)
    right = jnp.zeros((iterations + 1, size), dtype).at[0].set(first)
    start = (left, right, jnp.zeros((), dtype))
    return jax.lax.scan(step, start, (index, random[1:]))[1]


def _next_vector(image: Array, basis: Array, spare: Array, scale: Array) -> tuple[Array, Array]:
    """The unit vector of what of `image` is new to the basis, and its norm.

    Where nothing but rounding is new: the spare direction, and a norm of exactly 0.
    """
    eps = float(jnp.finfo(image.dtype).eps)
    floor = ROUNDING * eps * basis.shape[1] ** 0.5 * scale
    new, norm = _unit(_orthogonal_part(image, basis), floor)
    spare, _ = _unit(spare, jnp.zeros_like(scale))
    candidate = _orthogonal_part(jnp.where(norm == 0, spare, new), basis)
    # zero where the basis spans the whole space
    return _unit(candidate, 1e4 * eps * jnp.ones_like(scale))[0], norm


def _orthogonal_part(vector: Array, basis: Array) -> Array:
    """The vector without its components along the rows of the basis; twice is enough (Kahan)."""
    for _ in range(2):
        vector = vector - (basis @ vector) @ basis
    return vector


def _unit(vector: Array, floor: Array) -> tuple[Array, Array]:
    """Direction and norm; zero for both where the norm is at most `floor`."""
    norm = stable_norm(vector)
    kept = ~(norm <= floor)  # true for NaN, which must not become zero
    unit = vector / jnp.where(kept, norm, 1.0)
    return jnp.where(kept, unit, 0.0), jnp.where(kept, norm, 0.0)
