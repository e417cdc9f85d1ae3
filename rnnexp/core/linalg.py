"""Factorisations by LAPACK, one matrix at a time, a spectral radius, and Gram-Schmidt of rows.

On CPUs jaxlib 0.10.0 to 0.11.0 deadlock if LAPACK gets a batch of matrices: they divide it over
XLA's thread pool, and the calling thread, which may belong to the pool, waits for the others. As
many such calls as threads (the weights of two layers on two cores) block each other for ever. A
single matrix is not divided. Accelerators get whole batches.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap

from rnnexp.core.tree import stable_norm
from rnnexp.core.types import Array

P = ParamSpec("P")
R = TypeVar("R")


class Basis(NamedTuple):
    """Orthonormal rows, the growth of each (nats), and which are below rounding."""

    rows_KxS: Array
    growth_K: Array
    lost_K: Array


def alone(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which `vmap` on a CPU calls once an example; it has no gradient."""
    in_turn: Callable[..., Any] = sequential_vmap(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        chosen = in_turn if jax.default_backend() == "cpu" else function
        result: R = chosen(*args, **kwargs)
        return result

    return call


@alone
def qr(matrix: Array) -> tuple[Array, Array]:
    """Q and R of the thin decomposition. No gradient."""
    basis, triangle = jnp.linalg.qr(matrix)
    return basis, triangle


@alone
def svd(matrix: Array) -> tuple[Array, Array, Array]:
    """U, the singular values and V^T, all of them. No gradient."""
    left, values, right = jnp.linalg.svd(matrix)
    return left, values, right


@jax.custom_vjp
def expm(matrix: Array) -> Array:
    """The exponential of a square matrix, with a gradient in reverse.

    The adjoint of the derivative at A is the derivative at A^T: Higham 2008, "Functions of
    matrices", section 3.2.
    """
    return _expm(matrix)


@alone
def _expm(matrix: Array) -> Array:
    exponential: Array = jax.scipy.linalg.expm(matrix)
    return exponential


@alone
def _derivative(matrix: Array, direction: Array) -> Array:
    change: Array = jax.scipy.linalg.expm_frechet(matrix, direction, compute_expm=False)
    return change


def _forward(matrix: Array) -> tuple[Array, Array]:
    return _expm(matrix), matrix


def _backward(matrix: Array, cotangent: Array) -> tuple[Array]:
    return (_derivative(matrix.T, cotangent),)


expm.defvjp(_forward, _backward)


def radius_by_squaring(matrix: Array, squarings: int = 24) -> Array:
    """The spectral radius of a square matrix W, the limit of ||W^k||^(1/k), at k = 2^squarings.

    A program on any device can compute it, without LAPACK. What is left of the norm's constant,
    ln(c) / k, lies below rounding.
    """

    def square(carry: tuple[Array, Array], halves: Array) -> tuple[tuple[Array, Array], None]:
        power, log_radius = carry
        norm = stable_norm(power)
        power = power / jnp.where(norm > 0, norm, 1.0)
        return (power @ power, log_radius + jnp.log(norm) * halves), None

    halves = 0.5 ** jnp.arange(squarings + 1, dtype=matrix.dtype)
    start = matrix, jnp.zeros((), matrix.dtype)
    return jnp.exp(jax.lax.scan(square, start, halves)[0][1])


def orthonormalise(vectors_KxS: Array) -> Basis:
    """Gram-Schmidt of K rows, V = L Q with L lower triangular: each row projected twice.

    A row in the span of those before it has growth -inf and stays zero from then on. (A
    Householder QR would replace it by an arbitrary direction, which changes the rows that
    follow.) Structural dependence, as in a delay line, leaves eps^2 after the second
    projection, other matrices eps; the threshold is eps^1.5.

    A relative error of sqrt(S) * eps in every row i changes L_kk by that times the sum over
    i of |L^-1|_ki * |V_i| in units of L_kk. A row where this reaches 1 is kept, and
    counted as lost.

    Projecting twice: Giraud, Langou, Rozloznik & van den Eshof 2005, "Rounding error
    analysis of the classical Gram-Schmidt orthogonalization process".
    """
    count, size = vectors_KxS.shape
    unit = float(jnp.finfo(vectors_KxS.dtype).eps)
    # Squares leave float32's range at 1e-19, so the largest entry is divided out first.
    # (The result does not depend on that entry; `lost_K` has no gradient.)
    scale_K = jax.lax.stop_gradient(jnp.max(jnp.abs(vectors_KxS), axis=1))
    scale_K = jnp.where(scale_K == 0, 1.0, scale_K)
    scaled_KxS = vectors_KxS / scale_K[:, None]
    length_K = jnp.sqrt(jnp.sum(jax.lax.stop_gradient(scaled_KxS) ** 2, axis=1))

    def add_row(k: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        basis_KxS, inverse_KxK, growth_K = carry
        first_K = basis_KxS @ scaled_KxS[k]
        rest_S = scaled_KxS[k] - first_K @ basis_KxS
        second_K = basis_KxS @ rest_S
        rest_S = rest_S - second_K @ basis_KxS
        square = jnp.sum(rest_S**2)
        gone = square <= unit**3 * length_K[k] ** 2
        left = jnp.sqrt(jnp.where(gone, 1.0, square))  # not the root of 0, which has no slope
        basis_KxS = basis_KxS.at[k].set(jnp.where(gone, 0.0, rest_S / left))
        shares_K, length = jax.lax.stop_gradient((first_K + second_K, left))
        inverse_K = (-shares_K @ inverse_KxK).at[k].set(1.0) / length
        growth = jnp.where(gone, -jnp.inf, jnp.log(left))
        return basis_KxS, inverse_KxK.at[k].set(inverse_K), growth_K.at[k].set(growth)

    empty = jnp.zeros_like(scaled_KxS), jnp.zeros((count, count), scale_K.dtype), scale_K
    basis_KxS, inverse_KxK, growth_K = jax.lax.fori_loop(0, count, add_row, empty)
    error_K = size**0.5 * unit * (jnp.abs(inverse_KxK) @ length_K)
    lost_K = ~(error_K < 1.0) & (growth_K > -jnp.inf)
    return Basis(basis_KxS, growth_K + jnp.log(scale_K), lost_K)
