"""Addressing of a memory: its Jacobians are those of the equations, and finite everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells import memory_addressing as memory
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array
from tests.helpers.noisy_cells import normal

N, W, R, T = 6, 3, 2, 5
pytestmark = pytest.mark.usefixtures("x64")


def weights(seed: int, *shape: int) -> Array:
    """Positive numbers with a sum of 1 along the last axis."""
    return jax.nn.softmax(normal(seed, shape), axis=-1)


def test_the_memory_is_a_product_of_what_is_not_erased() -> None:
    """dM_T/dM_t is diagonal, the product of 1 - w e^T; that of an untouched slot is exactly 1."""
    w, erase, add = weights(0, T, R, N), jax.nn.sigmoid(normal(1, (T, R, W))), normal(2, (T, R, W))
    w = w.at[:, :, 4].set(0.0)

    def last(M: Array, t: int) -> Array:
        for s in range(t, T):
            M = memory.write(M, w[s], erase[s], add[s])
        return M

    jacobians = jax.jit(lambda M: [jax.jacobian(last)(M, t) for t in range(T)])
    for t, explicit in enumerate(jacobians(normal(3, (N, W)))):
        kept = np.ones((N, W))
        for s in range(t, T):
            for head in range(R):
                kept *= 1 - np.outer(w[s, head], erase[s, head])
        explicit = np.asarray(explicit).reshape(N * W, N * W)
        np.testing.assert_allclose(explicit, np.diag(kept.ravel()), rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(np.diag(explicit).reshape(N, W)[4], 1.0)


def test_what_is_written_is_added() -> None:
    one = jnp.eye(N)[None, 2]
    written = memory.write(normal(0, (N, W)), one, jnp.ones((1, W)), jnp.full((1, W), 7.0))
    np.testing.assert_array_equal(written[2], 7.0)
    np.testing.assert_array_equal(np.delete(written, 2, 0), np.delete(normal(0, (N, W)), 2, 0))
    np.testing.assert_array_equal(memory.read(one, written)[0], written[2])


@pytest.mark.parametrize("width", [1, 3, 5])
def test_singular_values_of_a_shift_are_its_fourier_transform(width: int) -> None:
    by = weights(0, 1, width)
    reach = width // 2
    jacobian = jax.jit(jax.jacobian(lambda w, kernel: memory.circular_shift(w[None], kernel)[0]))
    for kernel in (by, jnp.eye(width)[None, -1]):
        matrix = jacobian(weights(1, N), kernel)
        padded = np.zeros(N)
        padded[(np.arange(width) - reach) % N] = kernel[0]
        expected = np.sort(np.abs(np.fft.fft(padded)))[::-1]
        found = np.linalg.svd(np.asarray(matrix), compute_uv=False)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found, 1.0, rtol=1e-12)  # of the one-hot kernel
    if width > 1:
        assert np.abs(np.fft.fft(np.resize(by, N))).min() < 0.99


def test_the_last_place_of_a_shift_moves_up() -> None:
    moved = memory.circular_shift(jnp.eye(N)[None, N - 1], jnp.array([[0.0, 0.0, 1.0]]))
    np.testing.assert_array_equal(moved[0], np.eye(N)[0])


def test_the_slope_of_sharpening_is_that_of_a_softmax() -> None:
    exponent, start = jnp.array([1.0, 3.5]), jnp.log(weights(0, R, N))
    log_sharp = jax.jit(jax.jacobian(lambda z: jnp.log(memory.sharpen(jnp.exp(z), exponent))))
    slopes = log_sharp(start)
    w = memory.sharpen(jnp.exp(start), exponent)
    power = np.exp(start) ** np.asarray(exponent)[:, None]
    np.testing.assert_allclose(w, power / power.sum(1, keepdims=True), rtol=1e-12)
    for head in range(R):
        expected = exponent[head] * (np.eye(N) - np.asarray(w[head])[None])
        np.testing.assert_allclose(slopes[head, :, head], expected, rtol=1e-10, atol=1e-12)


def test_content_is_the_softmax_of_cosines() -> None:
    keys, strengths, M = 50 * normal(0, (R, W)), jnp.array([0.0, 4.0]), 50 * normal(1, (N, W))
    k, m = np.asarray(keys), np.asarray(M)
    cos = k @ m.T / np.linalg.norm(k, axis=1)[:, None] / np.linalg.norm(m, axis=1)
    np.testing.assert_allclose(memory.cosine(keys, M), cos, rtol=1e-8)
    w = memory.content_weights(keys, strengths, M)
    np.testing.assert_allclose(w[0], 1 / N, rtol=1e-12)
    np.testing.assert_allclose(w[1], np.exp(4 * cos[1]) / np.exp(4 * cos[1]).sum(), rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_at_a_zero_memory_and_a_zero_weight_are_finite(dtype: str) -> None:
    keys, strengths, M = jnp.ones((R, W), dtype), jnp.full(R, 3.0, dtype), jnp.zeros((N, W), dtype)
    mixture = normal(0, (R, N)).astype(dtype)

    def content(keys: Array, M: Array) -> Array:
        return jnp.sum(mixture * memory.content_weights(keys, strengths, M))

    slopes = jax.jit(jax.grad(content, (0, 1)))
    for by in (0 * keys, keys):
        for slope in slopes(by, M):
            assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 1

    def sharp(w: Array, exponent: Array) -> Array:
        return jnp.sum(mixture * memory.sharpen(w, exponent))

    one_hot = jnp.eye(N, dtype=dtype)[:R]
    for slope in jax.jit(jax.grad(sharp, (0, 1)))(one_hot, jnp.array([1.0, 20.0], dtype)):
        assert np.isfinite(slope).all()
    np.testing.assert_allclose(memory.sharpen(one_hot, strengths), one_hot, atol=1e-30)


def test_interpolation_and_parts() -> None:
    new, old = weights(0, R, N), weights(1, R, N)
    mixed = memory.interpolate(jnp.array([0.25, 1.0]), new, old)
    np.testing.assert_allclose(mixed[0], 0.25 * new[0] + 0.75 * old[0], rtol=1e-12)
    np.testing.assert_array_equal(mixed[1], new[1])
    parts = memory.split_last(jnp.arange(12.0).reshape(2, 6), a=1, b=3, c=2)
    np.testing.assert_array_equal(parts["b"], [[1, 2, 3], [7, 8, 9]])
    np.testing.assert_array_equal(parts["c"], [[4, 5], [10, 11]])


def test_a_limit_that_is_not_positive_is_named() -> None:
    memory.positive_limit("ntm", "parameter_clip", float("inf"))
    for limit in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="parameter_clip of ntm must be above 0"):
            memory.positive_limit("ntm", "parameter_clip", limit)
