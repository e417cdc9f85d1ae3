"""Orthogonal, unitary, clockwork and linear cells equal NumPy and keep what they promise."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg  # type: ignore[import-untyped]

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params
from rnnexp.scan.unroll import unroll
from tests.helpers.by_numpy import sigmoid
from tests.helpers.distributions import gaussian_of
from tests.helpers.noisy_params import noisy_params
from tests.helpers.structured_cells import (
    B,
    H,
    I,
    Numbers,
    T,
    adjoints_of_last,
    as_numpy,
    build,
    close,
    scanned,
    sequence,
    unitary_matrix,
)

Reference = Callable[[Numbers, np.ndarray], list[np.ndarray]]


def g(x: np.ndarray) -> np.ndarray:
    """Feng et al. 2024, appendix B."""
    return np.where(x >= 0, x + 0.5, sigmoid(x))


# Every reference takes the weights and one example's inputs (T, I) to outputs (T, ...).


def orthogonal_by_numpy(p: Numbers, x: np.ndarray) -> list[np.ndarray]:
    size, entries = len(p["b"]), iter(p["a"])
    A = np.zeros((size, size))
    for row in range(size):
        for column in range(row + 1, size):
            A[row, column] = next(entries)
    W, h, outputs = scipy.linalg.expm(A - A.T), np.zeros(size), []
    for x_t in x:
        z = p["w_x"].T @ x_t + W @ h
        h = z / np.abs(z) * np.maximum(np.abs(z) + p["b"], 0)
        outputs.append(h)
    return outputs


def unitary_by_numpy(p: Numbers, x: np.ndarray) -> list[np.ndarray]:
    W, V = unitary_matrix(p), (p["w_x"][:, :H] + 1j * p["w_x"][:, H:]).T
    h, outputs = p["h_0"][0] + 1j * p["h_0"][1], []
    for x_t in x:
        z = W @ h + V @ x_t
        h = z / np.abs(z) * np.maximum(np.abs(z) + p["b"], 0)
        outputs.append(np.concatenate([h.real, h.imag]))
    return outputs


def clockwork_by_numpy(p: Numbers, x: np.ndarray) -> list[np.ndarray]:
    module = [0, 0, 1, 1, 2, 3]  # six units in four modules
    W, entries = np.zeros((H, H)), iter(p["w_blocks"])
    for read in range(H):
        for reader in range(H):
            if module[read] >= module[reader]:
                W[reader, read] = next(entries)
    h, outputs = np.zeros(H), []
    for t, x_t in enumerate(x):
        new = np.tanh(p["w_x"].T @ x_t + W @ h + p["b"])
        h = np.array([new[k] if t % 2 ** module[k] == 0 else h[k] for k in range(H)])
        outputs.append(h)
    return outputs


def lru_by_numpy(p: Numbers, x: np.ndarray) -> list[np.ndarray]:
    eigenvalue = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    b, c = (p["b"][0] + 1j * p["b"][1]).T, (p["c"][0] + 1j * p["c"][1]).T
    h, outputs = np.zeros(H, complex), []
    for x_t in x:
        h = eigenvalue * h + np.exp(p["gamma_log"]) * (b @ x_t)
        outputs.append((c @ h).real + p["d"].T @ x_t)
    return outputs


def min_gru_by_numpy(p: Numbers, x: np.ndarray, g: Any = lambda v: v) -> list[np.ndarray]:
    h, outputs = np.zeros(H), []
    for x_t in x:
        z, candidate = np.split(p["w_x"].T @ x_t + p["b"], 2)
        h = (1 - sigmoid(z)) * h + sigmoid(z) * g(candidate)
        outputs.append(h)
    return outputs


def min_lstm_by_numpy(p: Numbers, x: np.ndarray, g: Any = lambda v: v) -> list[np.ndarray]:
    h, outputs = np.zeros(H), []
    for x_t in x:
        z_f, z_i, candidate = np.split(p["w_x"].T @ x_t + p["b"], 3)
        f, i = sigmoid(z_f), sigmoid(z_i)
        h = f / (f + i) * h + i / (f + i) * g(candidate)
        outputs.append(h)
    return outputs


@pytest.mark.parametrize(
    ("name", "options", "reference"),
    [
        ("orthogonal", {}, orthogonal_by_numpy),
        ("orthogonal", {"start": "henaff"}, orthogonal_by_numpy),
        ("unitary", {}, unitary_by_numpy),
        ("clockwork", {}, clockwork_by_numpy),
        ("lru", {}, lru_by_numpy),
        ("min_gru", {}, min_gru_by_numpy),
        ("min_gru", {"candidate": "positive"}, lambda p, x: min_gru_by_numpy(p, x, g)),
        ("min_lstm", {}, min_lstm_by_numpy),
        ("min_lstm", {"candidate": "positive"}, lambda p, x: min_lstm_by_numpy(p, x, g)),
    ],
)
def test_outputs_equal_numpy(
    name: str, options: dict[str, Any], reference: Reference, x64: None
) -> None:
    cell = build(name, **options)
    params, x = noisy_params(cell), sequence(T, B)
    outputs = jax.jit(lambda p: unroll(cell, p, x).outputs_TxBxH)(params)
    for b in range(B):
        expected = reference(as_numpy(params), np.asarray(x[:, b]))
        np.testing.assert_allclose(outputs[:, b], expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("orthogonal", 10 * 16 + 120 + 16),
        ("unitary", 2 * 10 * 16 + 10 * 16),
        # four modules of four units: 10 of the 16 blocks of 4 x 4
        ("clockwork", 10 * 16 + 10 * 16 + 16),
        ("lru", 3 * 16 + 2 * 10 * 16 + 2 * 16 * 16 + 10 * 16),
        ("min_gru", 2 * (10 * 16 + 16)),
        ("min_lstm", 3 * (10 * 16 + 16)),
    ],
)
def test_counts_by_hand(name: str, count: int) -> None:
    cell = build(name, inputs=10, hidden=16)
    leaves = jax.tree.leaves(jax.eval_shape(cell.init, jax.random.key(0)))
    assert cell.parameter_count == sum(leaf.size for leaf in leaves) == count


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("orthogonal", {"start": "cayly"}, "start.*cayley"),
        ("clockwork", {"modules": 7}, "modules.*6"),
        ("clockwork", {"modules": 0}, "modules"),
        ("lru", {"r_min": 0.9, "r_max": 0.9}, "r_min"),
        ("lru", {"max_phase": 7.0}, "max_phase"),
        ("min_gru", {"candidate": "log"}, "candidate.*positive"),
        ("min_lstm", {"candidate": "log"}, "candidate.*positive"),
    ],
)
def test_bad_options_are_named(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build(name, **options)


@pytest.mark.parametrize("name", ["orthogonal", "unitary"])
def test_adjoint_norms_stay_where_modrelu_is_the_identity(name: str, x64: None) -> None:
    cell = build(name)
    params = {**noisy_params(cell), "b": jnp.zeros(H)}
    shape = cell.init_state(params)["h"].shape
    weights = jax.random.normal(jax.random.key(3), shape)
    for x in (sequence(60), jnp.zeros((60, I))):  # and at the kink, z = 0
        adjoints = np.asarray(adjoints_of_last(cell, params, x, weights)).reshape(60, -1)
        np.testing.assert_allclose(
            np.linalg.norm(adjoints, axis=1), np.linalg.norm(weights), rtol=1e-12
        )
    # a dead zone loses some of it
    dead = {**params, "b": jnp.full(H, -0.5)}
    last = np.asarray(adjoints_of_last(cell, dead, sequence(60), weights)).reshape(60, -1)
    assert np.linalg.norm(last[0]) < 0.5 * np.linalg.norm(weights)


@pytest.mark.parametrize("name", ["orthogonal", "clockwork"])
def test_prepared_parameters_change_nothing(name: str, x64: None) -> None:
    cell = build(name)
    params, x = noisy_params(cell), sequence()
    weights = jax.random.normal(jax.random.key(3), (T, H))

    def loss(params: Params, prepare: Callable[[Params], Params]) -> Array:
        ready = prepare(params)
        return jnp.sum(weights * scanned(cell, ready, cell.init_state(ready), x, {})["h"])

    grad = jax.value_and_grad(loss)
    close(*jax.jit(lambda p: (grad(p, cell.prepare), grad(p, lambda raw: raw)))(params))


def test_clockwork_and_lru_start() -> None:
    params = build("clockwork", inputs=50, hidden=100).init(jax.random.key(4))
    gaussian_of(params["w_x"], 0.1)
    gaussian_of(params["w_blocks"], 0.1)
    assert float(jnp.abs(params["b"]).max()) == 0
    params = build("lru", inputs=50, hidden=100).init(jax.random.key(5))
    gaussian_of(params["b"], np.sqrt(1 / 100))
    gaussian_of(params["c"], np.sqrt(1 / 100))
    gaussian_of(params["d"], np.sqrt(1 / 50))
