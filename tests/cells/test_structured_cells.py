"""Orthogonal, unitary, clockwork and linear cells against NumPy; counts; bad options."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg  # type: ignore[import-untyped]
import scipy.stats  # type: ignore[import-untyped]
from jax.flatten_util import ravel_pytree

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.cells.unitary import permutation
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params, State, Tree
from rnnexp.scan.unroll import unroll

T, B, I, H = 11, 3, 4, 6  # noqa: E741


Numbers = dict[str, np.ndarray]


Reference = Callable[[Numbers, np.ndarray], list[np.ndarray]]


def build(name: str, *, inputs: int = I, hidden: int = H, **options: Any) -> Cell:
    """A cell of the table."""
    cell: Cell = CELLS.entry(name).factory()(inputs, hidden, **options)
    return cell


def noisy(cell: Cell, scale: float = 0.3) -> Params:
    """Weights away from their start, biases and all."""
    flat, unravel = ravel_pytree(cell.init(jax.random.key(0)))
    params: Params = unravel(flat + scale * jax.random.normal(jax.random.key(1), flat.shape))
    return params


def as_numpy(params: Params) -> Numbers:
    return {name: np.asarray(value) for name, value in params.items()}


def sequence(steps: int = T, *shape: int) -> Array:
    return jax.random.normal(jax.random.key(2), (steps, *shape, I))


def sigmoid(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1 / (1 + np.exp(-x))
    return result


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


def unitary_matrix(p: Numbers) -> np.ndarray:
    """W = D_3 R_2 F^-1 D_2 P R_1 F D_1 as a matrix."""
    k = np.arange(H)
    F = np.exp(-2j * np.pi * np.outer(k, k) / H) / np.sqrt(H)
    P = np.eye(H)[permutation(H, 0)]
    D = [np.diag(np.exp(1j * d)) for d in p["d"]]
    v = p["v"][:, 0] + 1j * p["v"][:, 1]
    R = [np.eye(H) - 2 * np.outer(w, w.conj()) / np.sum(np.abs(w) ** 2) for w in v]
    W: np.ndarray = D[2] @ R[1] @ F.conj().T @ D[1] @ P @ R[0] @ F @ D[0]
    return W


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
    params, x = noisy(cell), sequence(T, B)
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


# Orthogonality.


def scanned(cell: Cell, params: Params, state: State, x: Array, slots: State) -> State:
    """All states of one example by the scan of `transition`, slots added after each step."""

    def body(state: State, row: tuple[Array, State]) -> tuple[State, State]:
        new = cell.transition(params, state, row[0])
        new = {
            leaf: value + row[1][leaf] if leaf in slots else value for leaf, value in new.items()
        }
        return new, new

    states: State = jax.lax.scan(body, state, (x, slots))[1]
    return states


def adjoints_of_last(cell: Cell, params: Params, x: Array, weights: Array) -> Array:
    """dL/dh_t for L = sum(weights * h_T), (T, *h.shape): the derivative by what is added to h_t."""

    def loss(slot: Array) -> Array:
        start = cell.init_state(params)
        return jnp.sum(weights * scanned(cell, params, start, x, {"h": slot})["h"][-1])

    adjoints: Array = jax.jit(jax.grad(loss))(jnp.zeros((len(x), *weights.shape)))
    return adjoints


def close(a: Tree, b: Tree) -> None:
    """Equal up to float64 rounding."""
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-10, atol=1e-12), a, b)


# Initial weights.


def uniform_on(values: Array, low: float, high: float) -> None:
    """A Kolmogorov-Smirnov test at one in a hundred; seeds are fixed."""
    test = scipy.stats.kstest(np.ravel(values), "uniform", args=(low, high - low))
    assert test.pvalue > 0.01, (test, low, high)


def gaussian_of(values: Array, deviation: float) -> None:
    test = scipy.stats.kstest(np.ravel(values), "norm", args=(0, deviation))
    assert test.pvalue > 0.01, (test, deviation)
