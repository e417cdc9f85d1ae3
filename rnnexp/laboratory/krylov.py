"""Largest singular values of a linear map that is only known by its products with vectors.

`golub_kahan` takes any map; `log_singular_values` applies it to a product of step Jacobians.
Golub & Kahan 1965, "Calculating the singular values and pseudo-inverse of a matrix": from
a random unit vector the map A and its transpose build orthonormal U and V with A V = U B
and B upper bidiagonal, whose singular values approach A's from the outer ends inwards.
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
ROUNDING = 8.0  # times eps * sqrt(size) * the largest value: what products and B's SVD round off


class KrylovValues(NamedTuple):
    """Singular values by a Krylov method.

    Attributes:
      values: (count,), largest first, each at most the true one of its rank, but for rounding.
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
    """The `count` largest singular values of a linear map, and the smallest if all were found.

    A value is returned for a rank-deficient map and for a zero map too (0): where the
    Krylov space is exhausted it goes on from a new random direction. Repeated values are
    then found as often as they occur. Norms are taken without overflow, so that a map
    may be as large or as small as the float type can hold.

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


class _Basis(NamedTuple):
    """The vectors so far (zeros after them): `left` (iterations, rows), `right` (.. + 1, size)."""

    left: Array
    right: Array


def _bidiagonalise(
    matvec: Product,
    rmatvec: Product,
    shape: tuple[int, int],
    iterations: int,
    key: Key,
    dtype: jnp.dtype,
) -> tuple[Array, Array]:
    """Diagonal and superdiagonal of B, (iterations,) each; the last beta leaves B."""
    rows, size = shape
    # the start vector, and for every step spare directions of both kinds
    random = jax.random.normal(key, (iterations + 1, rows + size), dtype)
    first, _ = _unit(random[0, rows:], jnp.zeros((), dtype))
    basis = _Basis(
        jnp.zeros((iterations, rows), dtype),
        jnp.zeros((iterations + 1, size), dtype).at[0].set(first),
    )

    def step(
        carry: tuple[_Basis, Array], row: tuple[Array, Array]
    ) -> tuple[tuple[_Basis, Array], tuple[Array, Array]]:
        (left, right), scale = carry
        i, spare = row
        image = matvec(right[i])
        scale = jnp.maximum(scale, stable_norm(image))
        u, alpha = _next_vector(image, left, spare[:rows], scale)
        left = left.at[i].set(u)
        image = rmatvec(u)
        scale = jnp.maximum(scale, stable_norm(image))
        v, beta = _next_vector(image, right, spare[rows:], scale)
        return (_Basis(left, right.at[i + 1].set(v)), scale), (alpha, beta)

    index = jnp.arange(iterations, dtype=jnp.int32)
    start = (basis, jnp.zeros((), dtype))
    return jax.lax.scan(step, start, (index, random[1:]))[1]


def _next_vector(image: Array, basis: Array, spare: Array, scale: Array) -> tuple[Array, Array]:
    """The unit vector of what of `image` is new to the basis, and its norm.

    Where nothing but rounding is new: the spare direction, and a norm of exactly 0.
    """
    eps = float(jnp.finfo(image.dtype).eps)
    floor = ROUNDING * eps * basis.shape[1] ** 0.5 * scale
    new, length = _unit(_orthogonal_part(image, basis), floor)
    spare, _ = _unit(spare, jnp.zeros_like(scale))
    candidate = _orthogonal_part(jnp.where(length == 0, spare, new), basis)
    # where the basis already spans the whole space nothing is left of the spare one either
    return _unit(candidate, 1e4 * eps * jnp.ones_like(scale))[0], length


def _orthogonal_part(vector: Array, basis: Array) -> Array:
    """The vector without its parts along the rows of the basis; twice is enough (Kahan)."""
    for _ in range(2):
        vector = vector - (basis @ vector) @ basis
    return vector


def _unit(vector: Array, floor: Array) -> tuple[Array, Array]:
    """Direction and length; zero for both where the length is at most `floor`."""
    length = stable_norm(vector)
    kept = ~(length <= floor)  # NaN is kept, or it would pass for a zero
    unit = vector / jnp.where(kept, length, 1.0)
    return jnp.where(kept, unit, 0.0), jnp.where(kept, length, 0.0)
