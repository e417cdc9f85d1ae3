"""Golub-Kahan bidiagonalisation on matrices whose singular values are known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array
from rnnexp.laboratory.krylov import KrylovValues, golub_kahan

KEY = jax.random.key(0)


@partial(jax.jit, static_argnames=("count", "iterations"))
def largest(matrix: Array, count: int, iterations: int) -> KrylovValues:
    """Of a matrix that the method only sees multiply."""
    return golub_kahan(
        *(lambda v: matrix @ v, lambda u: u @ matrix, matrix.shape[1]),
        count=count,
        iterations=iterations,
        key=KEY,
        dtype=matrix.dtype,
    )


def with_values(values: np.ndarray, rows: int, seed: int = 0) -> Array:
    """A matrix of random directions with these singular values."""
    generator = np.random.default_rng(seed)
    left = np.linalg.qr(generator.normal(size=(rows, values.size)))[0]
    right = np.linalg.qr(generator.normal(size=(values.size, values.size)))[0]
    return jnp.asarray((left * values) @ right.T)


@pytest.mark.parametrize("shape", [(12, 7), (5, 9)])
def test_looking_in_every_direction_finds_every_value(shape: tuple[int, int], x64: None) -> None:
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=shape))
    size = shape[1]
    found = largest(matrix, size, size)
    expected = np.zeros(size)
    expected[: min(shape)] = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.smallest, expected[-1], rtol=0, atol=1e-13)
    assert np.all(np.asarray(found.errors) < 1e-12)
    assert float(found.smallest_error) < 1e-12


def test_few_iterations_find_the_largest_and_bound_the_error(x64: None) -> None:
    values = 0.9 ** np.arange(60)
    matrix = with_values(values, 60)
    errors = []
    for iterations in (5, 25):
        found = largest(matrix, 4, iterations)
        off = np.abs(np.asarray(found.values)[:, None] - values[None, :]).min(1)
        assert np.all(off <= found.errors)  # some value of the matrix is that near
        assert np.all(found.values <= values[:4] * (1 + 1e-13))
        assert np.isnan(found.smallest)
        assert np.isnan(found.smallest_error)
        errors.append(np.asarray(found.errors))
    assert np.all(errors[0] > 10 * errors[1])
    np.testing.assert_allclose(found.values, values[:4], rtol=1e-6)


def test_repeated_values_are_found_as_often_as_they_occur(x64: None) -> None:
    values = np.array([3.0, 3.0, 3.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25])
    found = largest(with_values(values, 9), 9, 9)
    np.testing.assert_allclose(found.values, values, rtol=0, atol=1e-13)
    # the identity's Krylov space is exhausted after the first vector
    np.testing.assert_allclose(largest(jnp.eye(9), 9, 9).values, 1, rtol=1e-14)


def test_missing_rank_is_zero(x64: None) -> None:
    values = np.array([2.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    found = largest(with_values(values, 9), 9, 9)
    np.testing.assert_allclose(found.values, values, rtol=0, atol=1e-13)
    assert float(found.smallest) <= float(found.smallest_error)
    nothing = largest(jnp.zeros((9, 9)), 9, 9)
    np.testing.assert_array_equal(nothing.values, 0)
    np.testing.assert_array_equal(nothing.smallest, 0)


@pytest.mark.parametrize("scale", [1e-280, 1e280])
def test_a_map_at_the_ends_of_the_range(scale: float, x64: None) -> None:
    values = np.array([4.0, 2.0, 1.0, 1e-3])
    found = largest(scale * with_values(values, 4), 4, 4)
    np.testing.assert_allclose(np.asarray(found.values) / scale, values, rtol=1e-11)


def test_what_is_not_a_number_does_not_pass_for_a_value() -> None:
    assert np.isnan(largest(jnp.eye(4).at[1, 2].set(jnp.nan), 4, 4).values).all()


def test_rounding_is_a_share_of_the_largest_value() -> None:
    """In float32 a value of 1e-9 times the largest one is not told from zero."""
    values = np.array([1.0, 0.5, 0.25, 1e-9], np.float32)
    found = largest(with_values(values, 4).astype(jnp.float32), 4, 4)
    assert np.all(np.abs(found.values - values) <= found.errors)
    assert found.values[3] <= found.errors[3]
    assert found.values[2] > found.errors[2]


@pytest.mark.parametrize(("count", "iterations"), [(0, 3), (4, 3), (2, 6)])
def test_numbers_out_of_range_are_refused(count: int, iterations: int) -> None:
    with pytest.raises(UsageError, match=f"count={count}, iterations={iterations}, size=5"):
        largest(jnp.eye(5), count, iterations)
