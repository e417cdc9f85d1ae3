"""Factorisations are taken one matrix at a time, and are what LAPACK makes of them."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm as scipy_expm  # type: ignore[import-untyped]

from rnnexp.core.linalg import expm, orthonormalise, qr, radius_by_squaring, svd
from rnnexp.core.types import Array, Key
from rnnexp.scan.unroll import unroll
from tests.helpers.variants import all_but_slow, build

CALL = re.compile(r"@lapack_\w+\(.*?: \(tensor<([\dx]*)x[a-z]")


def matrices_given_to_lapack(function: Any, *args: Any) -> list[str]:
    """The shapes of the first arguments of a program's calls: `5x5`, with a batch `3x5x5`."""
    text = jax.jit(function).lower(*args).as_text()
    shapes = CALL.findall(text)
    assert len(shapes) == text.count("@lapack_")
    return shapes


def test_a_batch_is_seen() -> None:
    assert (
        matrices_given_to_lapack(lambda x: jnp.linalg.qr(x)[0], jnp.ones((3, 5, 5)))[0] == "3x5x5"
    )


@pytest.mark.parametrize("variant", all_but_slow("dnc"))
def test_lanes_of_a_cell_give_no_batch(variant: tuple[str, dict[str, Any]]) -> None:
    cell = build(variant, 4, 5)

    def lane(key: Key) -> Any:
        x = jnp.ones((3, 2, 4))
        return jax.grad(lambda p: jnp.sum(unroll(cell, p, x).outputs_TxBxH))(cell.init(key))

    shapes = matrices_given_to_lapack(jax.vmap(lane), jax.random.split(jax.random.key(0), 2))
    assert {shape.count("x") for shape in shapes} <= {1}
    assert shapes or variant[0] not in ("lstm", "gru", "orthogonal")


@pytest.mark.parametrize(
    "function",
    [qr, svd, expm, jax.grad(lambda x: jnp.sum(expm(x)))],
    ids=["qr", "svd", "expm", "d expm"],
)
def test_mapped_functions_are_those_of_each_matrix(function: Any, x64: None) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 4))
    mapped = jax.vmap(jax.vmap(function))
    assert {s.count("x") for s in matrices_given_to_lapack(mapped, x)} == {1}
    for got, one in zip(
        jax.tree.leaves(mapped(x)), jax.tree.leaves(function(x[1, 2])), strict=True
    ):
        np.testing.assert_allclose(got[1, 2], one, rtol=1e-12, atol=1e-13)


def test_the_exponential_is_scipy_s(x64: None) -> None:
    x = 3 * np.random.default_rng(0).normal(size=(5, 5))
    np.testing.assert_allclose(expm(jnp.asarray(x)), scipy_expm(x), rtol=1e-11)


def test_the_gradient_of_the_exponential_equals_differences(x64: None) -> None:
    x, weights = jax.random.normal(jax.random.key(0), (2, 4, 4))

    def value(x: Array) -> Array:
        return jnp.sum(weights * expm(x))

    moves = 1e-6 * jnp.eye(16).reshape(16, 4, 4)
    change = jax.vmap(lambda by: value(x + by) - value(x - by))(moves) / 2e-6
    np.testing.assert_allclose(jax.grad(value)(x).ravel(), change, rtol=1e-7)


@pytest.mark.parametrize("vanishes", [False, True])
def test_the_gradient_of_gram_schmidt_equals_differences(vanishes: bool, x64: None) -> None:
    """The others move as if a row that vanishes were not there."""
    vectors, weights = jax.random.normal(jax.random.key(0), (2, 4, 6))
    if vanishes:
        vectors = vectors.at[2].set(0.0)
    moved = np.array([0, 1, 3])

    def value(rows: Array) -> Array:
        basis = orthonormalise(vectors.at[moved].set(rows))
        growth = jnp.where(jnp.isfinite(basis.growth_K), basis.growth_K, 0.0)
        result: Array = jnp.sum(weights * basis.rows_KxS) + weights[:, 0] @ growth
        return result

    at = vectors[moved]
    assert bool(jnp.isinf(orthonormalise(vectors).growth_K[2])) == vanishes
    moves = 1e-6 * jnp.eye(at.size).reshape(at.size, *at.shape)
    change = jax.vmap(lambda by: value(at + by) - value(at - by))(moves) / 2e-6
    np.testing.assert_allclose(jax.grad(value)(at).ravel(), change, rtol=1e-6, atol=1e-9)


def test_nothing_else_calls_lapack(root: Path) -> None:
    calls = re.compile(r"(jnp|jax\.numpy|jax\.scipy|lax)\.linalg\b|initializers\.orthogonal\(")
    users = {p.name for p in (root / "rnnexp").rglob("*.py") if calls.search(p.read_text())}
    assert users == {"linalg.py", "initializers.py"}


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_radius_by_squaring_is_the_largest_eigenvalue(scale: float) -> None:
    drawn = jax.random.normal(jax.random.key(5), (6, 40, 40))
    found = jax.jit(jax.vmap(radius_by_squaring))(scale * drawn)
    exact = np.abs(np.linalg.eigvals(np.asarray(drawn, np.float64))).max(axis=1)
    np.testing.assert_allclose(found / scale, exact, rtol=2e-5)


def test_the_radius_of_a_rotation_a_jordan_block_and_a_nilpotent_matrix() -> None:
    turn = jnp.array([[0.6, -0.8], [0.8, 0.6]])
    jordan = jnp.array([[0.5, 1.0], [0.0, 0.5]])
    for matrix, radius in ((0.3 * turn, 0.3), (jordan, 0.5), (jnp.eye(3, k=1), 0.0)):
        np.testing.assert_allclose(radius_by_squaring(matrix), radius, rtol=1e-5)
