"""Products of many matrices whose singular values exceed the range of a float.

A product of k Jacobians has singular values that shrink and grow like exp(k * lambda), so
its entries overflow, underflow, and lose the small values to the rounding of the large
ones. It is therefore stored as

    M = Q diag(2^e) T

with orthonormal Q, integers e, and T with rows of norm about 1 that stays well conditioned:
the graded decomposition of Loh, Gubernatis, Scalettar, Sugar & White 1989 ("Stable
matrix-multiplication algorithms for low-temperature numerical simulations of fermions").
Columns are sorted by size before a QR factorisation, as in Tomas, Chang, Scalettar & Bai
2012 ("Advancing large scale many-body QMC simulations on GPU accelerated multicore
systems"), rows too (Cox & Higham 1998, "Stability of Householder QR factorization for
weighted least squares problems"). Powers of two are exact, so scaling never rounds.

Singular values come from one-sided Jacobi rotations of the rows of diag(2^e) T, with a
relative error of about eps * cond(T) whatever their range (Demmel & Veselic 1992, "Jacobi's
method is more accurate than QR"; preconditioned as in Drmac & Veselic 2008, "New fast and
accurate Jacobi SVD algorithm").

A singular value of the product has a relative error of about k * eps * (the worst condition
number of one factor). Zeros are exact where a factor is structurally singular; where it is
singular by cancellation, they are about eps per step, as in any floating-point SVD.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.core.linalg import qr
from rnnexp.core.types import Array

ZERO = -(1 << 28)
"""The exponent of an exact zero; far below that of a product of a million steps."""
PRECONDITIONING = 2  # QR factorisations before the rotations; each costs less than a sweep
MOST_SWEEPS = 30


class Graded(NamedTuple):
    """The matrix `basis diag(2^exponents) factor`.

    Attributes:
      basis: (rows, N), orthonormal columns.
      exponents: (N,), int32; `ZERO` or less for a row of `factor` that counts as zero.
      factor: (N, N).
    """

    basis: Array
    exponents: Array
    factor: Array


def start(basis_SxN: Array) -> Graded:
    """The graded form of a matrix with orthonormal columns."""
    size = basis_SxN.shape[1]
    return Graded(basis_SxN, jnp.zeros(size, jnp.int32), jnp.eye(size, dtype=basis_SxN.dtype))


def advance(graded: Graded, matrix: Array) -> Graded:
    """The graded form of `matrix` times it; `matrix` has at least N rows."""
    basis, exponents, triangle = _graded_qr(matrix @ graded.basis, graded.exponents)
    factor, more = _scaled_rows(triangle @ graded.factor, jnp.zeros_like(exponents))
    return Graded(basis, jnp.maximum(exponents + more, ZERO), factor)


def log_singular_values(graded: Graded) -> Array:
    """Natural logarithms of the N singular values, largest first; -inf for zero."""

    def precondition(_: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        _, exponents, rows = _graded_qr(carry[0].T, carry[1])
        return rows, exponents

    begin = (graded.factor, graded.exponents)
    rows, exponents = jax.lax.fori_loop(0, PRECONDITIONING, precondition, begin)
    vectors, exponents = _rotate(rows.T, exponents)
    norms = jnp.sqrt(jnp.sum(vectors * vectors, axis=0))
    zero = (exponents <= ZERO // 2) | (norms == 0)
    logs = exponents.astype(norms.dtype) * math.log(2) + jnp.log(jnp.where(zero, 1.0, norms))
    logs = jnp.where(zero, -jnp.inf, logs)
    largest_first: Array = logs[_order(logs)[1]]
    return largest_first[: graded.factor.shape[0]]


def _scaled_rows(matrix: Array, exponents: Array) -> tuple[Array, Array]:
    """`matrix diag(2^exponents) = diag(2^new) rows`, the rows' largest entries in [1/2, 1)."""
    mantissas, powers = jnp.frexp(matrix)
    zero = (mantissas == 0) | (exponents <= ZERO // 2)[None, :]
    powers = jnp.where(zero, ZERO, powers + exponents[None, :])
    largest = jnp.max(powers, axis=1)
    shift = jnp.where(zero, 0, powers - largest[:, None])
    return jnp.where(zero, 0.0, jnp.ldexp(mantissas, _representable(shift))), largest


def _representable(shift: Array) -> Array:
    """Exponents of at least -120, below which a summand has no effect."""
    return jnp.maximum(shift, -120)


def _graded_qr(matrix: Array, exponents: Array) -> tuple[Array, Array, Array]:
    """`matrix diag(2^exponents) = Q diag(2^new) X`, with rows of X scaled: Q, new, X.

    Householder's QR is invariant to the scale of columns, so the unscaled matrix is
    factorised and the triangle scaled. Rows of zeros come last, where no reflection changes
    them: structural zeros stay exactly zero.
    """
    size = jnp.max(jnp.abs(matrix), axis=0)
    weight = exponents.astype(matrix.dtype) + jnp.log2(jnp.where(size > 0, size, 1.0))
    column_rank, columns = _order(jnp.where(size > 0, weight, -jnp.inf))
    row_rank, rows = _order(jnp.max(jnp.abs(matrix), axis=1))
    basis, triangle = qr(matrix[rows][:, columns])
    scaled, scales = _scaled_rows(triangle, exponents[columns])
    return basis[row_rank], scales, scaled[:, column_rank]


def _order(x_N: Array) -> tuple[Array, Array]:
    """Every entry's rank, largest first, and the indices by rank. XLA compiles sorts slowly."""
    index = jnp.arange(x_N.size, dtype=jnp.int32)
    before = (x_N[:, None] < x_N[None, :]) | (
        (x_N[:, None] == x_N[None, :]) & (index[:, None] > index[None, :])
    )
    rank = jnp.sum(before, axis=1, dtype=jnp.int32)
    return rank, jnp.zeros_like(index).at[rank].set(index)


class _Half(NamedTuple):
    """Half of the vectors, as columns (N, N/2), and their exponents."""

    vectors: Array
    exponents: Array


def _rotate(vectors: Array, exponents: Array) -> tuple[Array, Array]:
    """Orthogonalise the columns of `vectors diag(2^exponents)` by rotations.

    A sweep rotates all pairs, N/2 at a time, in the order of a round-robin tournament.
    """
    count = vectors.shape[1]
    padding = count % 2
    vectors = jnp.pad(vectors, ((0, 0), (0, padding)))
    exponents = jnp.pad(exponents, (0, padding), constant_values=ZERO)
    half = (count + padding) // 2
    pairs = (_Half(vectors[:, :half], exponents[:half]), _Half(vectors[:, half:], exponents[half:]))
    limit = float(jnp.finfo(vectors.dtype).eps) ** 0.5

    def rotate_all(_: Array, carry: tuple[_Half, _Half, Array]) -> tuple[_Half, _Half, Array]:
        top, bottom, worst = _rotate_pairs(*carry)
        return (*_next_pairs(top, bottom), worst)

    def sweep(carry: tuple[Array, _Half, _Half, Array]) -> tuple[Array, _Half, _Half, Array]:
        number, top, bottom, worst = carry
        start = (top, bottom, jnp.zeros_like(worst))
        return (number + 1, *jax.lax.fori_loop(0, 2 * half - 1, rotate_all, start))

    def unfinished(carry: tuple[Array, _Half, _Half, Array]) -> Array:
        # convergence is quadratic: the sweep that began at `limit` ends at its square
        going: Array = (carry[0] < MOST_SWEEPS) & (carry[3] > limit)
        return going

    first = (jnp.zeros((), jnp.int32), *pairs, jnp.ones((), vectors.dtype))
    _, top, bottom, _ = jax.lax.while_loop(unfinished, sweep, first)
    vectors = jnp.concatenate([top.vectors, bottom.vectors], axis=1)
    return vectors, jnp.concatenate([top.exponents, bottom.exponents])


def _next_pairs(top: _Half, bottom: _Half) -> tuple[_Half, _Half]:
    """The next round of the tournament: the first of `top` is fixed, all others rotate."""
    if top.exponents.size == 1:
        return top, bottom

    def move(t: Array, b: Array) -> tuple[Array, Array]:
        new_t = jnp.concatenate([t[..., :1], b[..., :1], t[..., 1:-1]], axis=-1)
        return new_t, jnp.concatenate([b[..., 1:], t[..., -1:]], axis=-1)

    moved = [move(t, b) for t, b in zip(top, bottom, strict=True)]
    return _Half(*(t for t, _ in moved)), _Half(*(b for _, b in moved))


def _rotate_pairs(top: _Half, bottom: _Half, worst: Array) -> tuple[_Half, _Half, Array]:
    """Make vector i of `top` orthogonal to vector i of `bottom`, for all i at once.

    With u the one of the larger exponent, r = 2^(difference) <= 1 and w = r^2 |v|^2 -
    |u|^2, Jacobi's tangent is t = r tau, tau = sign(w) 2 u.v / (|w| + sqrt(w^2 + 4 r^2
    (u.v)^2)). The new vectors have exponents of their own, so r may underflow.
    """
    x, y = top.vectors, bottom.vectors
    g = jnp.sum(x * y, axis=0)
    a, top, f_x = _settle(jnp.sum(x * x, axis=0), top)
    b, bottom, f_y = _settle(jnp.sum(y * y, axis=0), bottom)
    g = g * f_x * f_y
    swap = bottom.exponents > top.exponents
    difference = jnp.abs(bottom.exponents - top.exponents)
    r = jnp.ldexp(jnp.ones_like(g), _representable(-difference))
    w = jnp.where(swap, r * r * a - b, r * r * b - a)
    below = jnp.abs(w) + jnp.sqrt(w * w + 4.0 * (r * g) ** 2)
    tau = jnp.where(w < 0, -2.0, 2.0) * g / jnp.where(below > 0, below, 1.0)
    c = jax.lax.rsqrt(1.0 + (tau * r) ** 2)
    to_x = jnp.where(swap, tau, -tau * r * r)
    to_y = jnp.where(swap, -tau * r * r, tau)
    new_x = (c * f_x)[None] * x + (c * to_x * f_y)[None] * y
    new_y = (c * f_y)[None] * y + (c * to_y * f_x)[None] * x
    product = a * b
    cosine = jnp.abs(g) * jax.lax.rsqrt(jnp.where(product > 0, product, 1.0))
    worst = jnp.maximum(worst, jnp.max(cosine))
    return _Half(new_x, top.exponents), _Half(new_y, bottom.exponents), worst


def _settle(square: Array, half: _Half) -> tuple[Array, _Half, Array]:
    """Exponents that fit the vectors' squared norms: new squares, half, scale factors."""
    norm = jnp.sqrt(square)
    power = jnp.frexp(norm)[1]
    factor = jnp.ldexp(jnp.ones_like(norm), -power)
    exponents = jnp.where(norm == 0, ZERO, jnp.maximum(half.exponents + power, ZERO))
    return square * factor**2, _Half(half.vectors, exponents), factor
