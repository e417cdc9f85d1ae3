"""Factorisations that never give LAPACK a batch, which can stop a process for good.

On processors jaxlib 0.10.0 to 0.11.0 divide a batch of matrices over XLA's pool of threads, and
the thread that called waits for the others. It may be one of the pool itself: as many such calls
at a time as there are threads (the weights of two layers on two cores) wait for each other for
ever. One matrix is not divided. Accelerators get their batches.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap

from rnnexp.core.types import Array

P = ParamSpec("P")
R = TypeVar("R")


def alone(function: Callable[P, R]) -> Callable[P, R]:
    """A function of arrays that `vmap` on a processor calls in turn, and that has no gradient."""
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
def largest_singular_value(matrix: Array) -> Array:
    """The spectral norm, (), with a gradient in reverse: u v^T of its singular vectors."""
    return svd(matrix)[1][0]


def _norm_forward(matrix: Array) -> tuple[Array, tuple[Array, Array]]:
    left, values, right = svd(matrix)
    return values[0], (left[:, 0], right[0])


def _norm_backward(vectors: tuple[Array, Array], cotangent: Array) -> tuple[Array]:
    return (cotangent * jnp.outer(*vectors),)


largest_singular_value.defvjp(_norm_forward, _norm_backward)


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
