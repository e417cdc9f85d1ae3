"""Fixed points and their derivatives: closed forms, finite differences, backpropagation's limit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.fixed_point import fixed_point
from rnnexp.core.types import Array

pytestmark = pytest.mark.usefixtures("x64")
RANDOM = np.random.default_rng(0)
N = 4
EXACT: dict[str, Any] = {"tolerance": 1e-15, "most": 1000}


def contraction() -> np.ndarray:
    a_NxN = RANDOM.normal(size=(N, N))
    scaled: np.ndarray = 0.8 * a_NxN / np.linalg.norm(a_NxN, 2)
    return scaled


def test_a_linear_map_is_solved_and_differentiated() -> None:
    """z = A z + b: z = (1 - A)^-1 b, dL/db = (1 - A^T)^-1 g; forwards and backwards, batched."""
    a, b_BxN = contraction(), RANDOM.normal(size=(3, N))
    weights, direction = RANDOM.normal(size=(2, N))

    @jax.jit
    def point(b_N: Array) -> Array:
        found: Array = fixed_point(lambda z: {"z": a @ z["z"] + b_N}, {"z": b_N}, **EXACT)["z"]
        return found

    inverse = np.linalg.inv(np.eye(N) - a)
    np.testing.assert_allclose(jax.vmap(point)(b_BxN), b_BxN @ inverse.T, rtol=1e-12)
    slope = jax.grad(lambda b: jnp.sum(weights * point(b)))(b_BxN[0])
    np.testing.assert_allclose(slope, inverse.T @ weights, rtol=1e-12)
    tangent = jax.jvp(point, (b_BxN[0],), (jnp.asarray(direction),))[1]
    np.testing.assert_allclose(tangent, inverse @ direction, rtol=1e-12)


def test_a_curved_map_has_the_gradient_of_finite_differences() -> None:
    a, b, weights = contraction(), RANDOM.normal(size=N), RANDOM.normal(size=N)

    @jax.jit
    def value(scale: Array) -> Array:
        z = fixed_point(lambda z: jnp.tanh(scale * (a @ z) + b), jnp.zeros(N), **EXACT)
        return jnp.sum(weights * z)

    one = jnp.array(1.0)
    numeric = (value(one + 1e-6) - value(one - 1e-6)) / 2e-6
    np.testing.assert_allclose(jax.grad(value)(one), numeric, rtol=1e-8)


def test_the_start_has_no_gradient_and_most_is_a_limit() -> None:
    a = contraction()

    def value(start: Array, most: int) -> Array:
        return jnp.sum(fixed_point(lambda z: a @ z, start, tolerance=0.0, most=most))

    start = jnp.ones(N)
    assert np.all(np.asarray(jax.grad(value)(start, 5)) == 0)
    expected = np.sum(np.linalg.matrix_power(a, 5) @ np.ones(N))
    np.testing.assert_allclose(value(start, 5), expected, rtol=1e-12)
