"""Products whose singular values leave the range of a float, against exact arithmetic."""

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Array
from rnnexp.laboratory.graded_svd import ZERO, Graded, advance, log_singular_values, start


def orthonormal(size: int, seed: int, columns: int | None = None) -> np.ndarray:
    """Orthonormal columns, drawn at random."""
    normal = np.random.default_rng(seed).normal(size=(size, columns or size))
    return np.linalg.qr(normal)[0]


@jax.jit
def product(matrices_NxSxS: Array, repeats: int = 1) -> Graded:
    """The matrices multiplied from the first on, and that over again."""
    identity = jnp.eye(matrices_NxSxS.shape[-1], dtype=matrices_NxSxS.dtype)

    def once(_: Array, graded: Graded) -> Graded:
        return jax.lax.scan(lambda g, m: (advance(g, m), None), graded, matrices_NxSxS)[0]

    graded: Graded = jax.lax.fori_loop(0, repeats, once, start(identity))
    return graded


values_of = jax.jit(log_singular_values)


def logs(matrices: Sequence[np.ndarray], repeats: int = 1) -> np.ndarray:
    """Their product's singular values."""
    found = product(jnp.asarray(np.stack(matrices)), repeats)
    return np.asarray(values_of(found))


def exact_logs(matrices: Sequence[np.ndarray]) -> list[float]:
    """Of a product of whole 2 x 2 matrices: roots of x^2 - tr(A^T A) x + det(A)^2, exactly."""
    A = np.eye(2, dtype=object).astype(int).astype(object)
    for matrix in matrices:
        A = matrix.astype(int).astype(object) @ A
    with localcontext() as context:
        context.prec = 1200
        trace = Decimal(int((A.T @ A).trace()))
        determinant = Decimal(int(A[0, 0] * A[1, 1] - A[0, 1] * A[1, 0]))
        root = (trace * trace - 4 * determinant**2).sqrt()
        return [float((x / 2).ln() / 2) for x in (trace + root, trace - root)]


def decimal_logs(rows: list[list[Decimal]]) -> list[float]:
    """Singular values by one-sided Jacobi rotations in a thousand digits."""
    with localcontext() as context:
        context.prec = 1000
        columns = [list(column) for column in zip(*rows, strict=True)]
        for _ in range(60):
            for i in range(len(columns)):
                for j in range(i + 1, len(columns)):
                    _rotate(columns, i, j)
        squares = sorted((sum(x * x for x in column) for column in columns), reverse=True)
        return [float(square.ln() / 2) for square in squares]


def _rotate(columns: list[list[Decimal]], i: int, j: int) -> None:
    x, y = columns[i], columns[j]
    g = sum(a * b for a, b in zip(x, y, strict=True))
    if g == 0:
        return
    zeta = (sum(b * b for b in y) - sum(a * a for a in x)) / (2 * g)
    t = (1 if zeta >= 0 else -1) / (abs(zeta) + (1 + zeta * zeta).sqrt())
    c = 1 / (1 + t * t).sqrt()
    columns[i] = [c * (a - t * b) for a, b in zip(x, y, strict=True)]
    columns[j] = [c * (t * a + b) for a, b in zip(x, y, strict=True)]


def test_the_graded_form_is_the_product(x64: None) -> None:
    matrices = np.random.default_rng(0).normal(size=(7, 5, 5))
    graded = product(jnp.asarray(matrices))
    scales = 2.0 ** np.asarray(graded.exponents)
    found = np.asarray(graded.basis) @ (scales[:, None] * np.asarray(graded.factor))
    expected = np.linalg.multi_dot(matrices[::-1])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    np.testing.assert_allclose(graded.basis.T @ graded.basis, np.eye(5), atol=1e-14)


@pytest.mark.parametrize("size", [1, 5, 6])
def test_singular_values_equal_numpy(size: int, x64: None) -> None:
    matrices = np.random.default_rng(size).normal(size=(7, size, size))
    values = np.linalg.svd(np.linalg.multi_dot(matrices[::-1]), compute_uv=False)
    np.testing.assert_allclose(logs(list(matrices)), np.log(values), rtol=0, atol=1e-11)


def test_a_power_is_exact_at_both_ends(x64: None) -> None:
    """[[2, 1], [1, 1]]^k has singular values phi^2k and phi^-2k, 10^-836 of each other."""
    golden = math.log((1 + math.sqrt(5)) / 2)
    for power in (1, 200, 1000):
        found = logs([np.array([[2.0, 1.0], [1.0, 1.0]])], power)
        np.testing.assert_allclose(found, [2 * power * golden, -2 * power * golden], rtol=1e-12)


def test_whole_matrices_equal_exact_arithmetic(x64: None) -> None:
    """None is normal, so that the product's directions turn at every step."""
    generator = np.random.default_rng(1)
    drawn = generator.integers(-3, 4, size=(400, 2, 2)).astype(float)
    matrices = [m for m in drawn if np.linalg.det(m) != 0]
    assert len(matrices) > 300
    expected = exact_logs(matrices)
    assert expected[0] - expected[1] > 100  # a plain product rounds the small one away
    np.testing.assert_allclose(logs(matrices), expected, rtol=0, atol=1e-11)


def test_badly_scaled_factors_keep_every_value(x64: None) -> None:
    """Q_{n+1} diag(2^e_n) Q_n^T: the exponents add up, past both ends of float64."""
    count = 200
    drawn = np.random.default_rng(2).integers(-3, 4, size=(count, 5))
    exponents = drawn + np.array([7, 3, 0, -3, -7])  # a factor's condition is up to 2^20
    turns = [orthonormal(5, seed) for seed in range(count + 1)]
    matrices = [turns[n + 1] @ np.diag(2.0 ** exponents[n]) @ turns[n].T for n in range(count)]
    expected = np.sort(exponents.sum(0))[::-1] * math.log(2)
    assert expected[0] > 750
    assert expected[-1] < -750
    np.testing.assert_allclose(logs(matrices), expected, rtol=0, atol=4e-8)  # count eps 2^20


def test_rows_and_columns_of_any_scale(x64: None) -> None:
    """diag(2^a) A diag(2^b) with A well conditioned: to a relative error of cond(A) eps."""
    a, b = np.array([400, 0, -300, 100, 7]), np.array([-200, 350, 0, 90, -500])
    A = np.random.default_rng(3).normal(size=(5, 5)) + 4 * np.eye(5)
    found = logs([np.diag(2.0**b), A, np.diag(2.0**a)])
    with localcontext() as context:
        context.prec = 1000
        scales = [[Decimal(2) ** int(x + y) for y in b] for x in a]
        rows = [[Decimal(A[i, j]) * scales[i][j] for j in range(5)] for i in range(5)]
    np.testing.assert_allclose(found, decimal_logs(rows), rtol=0, atol=1e-12)


def test_zeros_by_structure_are_exact(x64: None) -> None:
    shift = np.eye(5, k=1)
    for power, zeros in ((1, 1), (3, 3), (5, 5), (9, 5)):
        found = logs([shift], power)
        np.testing.assert_array_equal(found[5 - zeros :], -np.inf)
        np.testing.assert_allclose(found[: 5 - zeros], 0, atol=1e-15)
    outer = np.zeros((5, 5))
    outer[1] = [1.0, 2.0, 3.0, 4.0, 0.0]
    np.testing.assert_array_equal(logs([outer])[1:], -np.inf)
    np.testing.assert_allclose(logs([outer])[0], math.log(30) / 2, rtol=1e-14)
    assert np.all(np.asarray(product(jnp.zeros((1, 5, 5))).exponents) <= ZERO)
    np.testing.assert_array_equal(logs([np.zeros((5, 5))], 4), -np.inf)


def test_float32_reaches_far_below_its_range() -> None:
    turn = orthonormal(4, 0).astype(np.float32)
    scales = np.array([2.0, 1.0, 0.5, 2.0**-10], np.float32)
    step = turn @ np.diag(scales) @ turn.T
    found = logs([step], 500)
    # 500 * eps * the condition of one factor is 0.1
    np.testing.assert_allclose(found, 500 * np.log(scales), rtol=0, atol=0.1)
