"""Cells built for long memory: against NumPy written from the papers, and their structure."""

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
from rnnexp.cells.clockwork import module_sizes
from rnnexp.cells.lru import eigenvalues
from rnnexp.cells.orthogonal import start_angles
from rnnexp.cells.unitary import permutation
from rnnexp.errors import UsageError
from rnnexp.types import Array, Params, State, Tree
from rnnexp.unroll import unroll

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


@pytest.mark.parametrize("scale", [0.3, 3.0])
@pytest.mark.parametrize("hidden", [5, 6])
def test_expm_is_orthogonal_with_determinant_one(hidden: int, scale: float, x64: None) -> None:
    cell = build("orthogonal", hidden=hidden)
    w = np.asarray(cell.prepare(noisy(cell, scale))["w_h"])
    np.testing.assert_allclose(w @ w.T, np.eye(hidden), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(w), 1, atol=1e-12)


@pytest.mark.parametrize("name", ["orthogonal", "unitary"])
def test_adjoint_norms_stay_where_modrelu_is_the_identity(name: str, x64: None) -> None:
    cell = build(name)
    params = {**noisy(cell), "b": jnp.zeros(H)}
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


def test_the_urnn_step_is_unitary(x64: None) -> None:
    cell = build("unitary")
    params = {**noisy(cell, 2.0), "b": jnp.zeros(H)}

    def step(flat: Array) -> Array:
        state = {"h": flat.reshape(2, H)}
        return cell.transition(params, state, jnp.zeros(I))["h"].reshape(-1)

    J = np.asarray(jax.jacobian(step)(jnp.ones(2 * H)))
    np.testing.assert_allclose(J @ J.T, np.eye(2 * H), atol=1e-12)
    W = unitary_matrix(as_numpy(params))
    np.testing.assert_allclose(J, np.block([[W.real, -W.imag], [W.imag, W.real]]), atol=1e-12)


@pytest.mark.parametrize("name", ["orthogonal", "clockwork"])
def test_prepared_parameters_change_nothing(name: str, x64: None) -> None:
    cell = build(name)
    params, x = noisy(cell), sequence()
    weights = jax.random.normal(jax.random.key(3), (T, H))

    def loss(params: Params, prepare: Callable[[Params], Params]) -> Array:
        ready = prepare(params)
        return jnp.sum(weights * scanned(cell, ready, cell.init_state(ready), x, {})["h"])

    grad = jax.value_and_grad(loss)
    close(*jax.jit(lambda p: (grad(p, cell.prepare), grad(p, lambda raw: raw)))(params))


def close(a: Tree, b: Tree) -> None:
    """Equal up to float64 rounding."""
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-10, atol=1e-12), a, b)


# Clockwork.


def test_modules_share_the_units() -> None:
    assert module_sizes(5, 4) == [2, 1, 1, 1]
    assert module_sizes(8, 4) == [2, 2, 2, 2]
    assert module_sizes(11, 3) == [4, 4, 3]


def test_units_change_only_when_their_module_ticks(x64: None) -> None:
    cell = build("clockwork")
    params, steps = noisy(cell), 17
    states = scanned(cell, params, cell.init_state(params), sequence(steps), {})
    np.testing.assert_array_equal(states["t"], np.arange(1, steps + 1))
    h = np.concatenate([np.zeros((1, H)), states["h"]])
    for unit, period in enumerate([1, 1, 2, 2, 4, 8]):
        changed = h[1:, unit] != h[:-1, unit]
        np.testing.assert_array_equal(changed, np.arange(steps) % period == 0)


def test_slow_modules_never_hear_fast_ones_nor_inputs_between_ticks(x64: None) -> None:
    cell = build("clockwork", modules=3)  # units 0, 1: period 1; 2, 3: period 2; 4, 5: period 4
    params, x = noisy(cell), sequence()
    weights = jnp.zeros(H).at[2:4].set(1.0)  # the loss sees the middle module alone
    adjoints = np.asarray(adjoints_of_last(cell, params, x, weights))
    assert np.all(adjoints[:, :2] == 0)
    assert np.all(adjoints[:, 2:4] != 0)
    # the last tick of the middle module, at step 10, reads the slow one; nothing later does
    assert np.all(adjoints[10:, 4:] == 0)
    assert np.all(adjoints[:10, 4:] != 0)

    def loss(x: Array) -> Array:
        return jnp.sum(weights * scanned(cell, params, cell.init_state(params), x, {})["h"][-1])

    by_input = np.asarray(jax.grad(loss)(x))
    assert np.all(by_input[1::2] == 0)
    assert np.all(by_input[::2] != 0)


# Linear recurrences.


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize(
    ("name", "options"),
    [("lru", {}), ("min_gru", {}), ("min_gru", {"candidate": "positive"}), ("min_lstm", {})],
)
def test_the_parallel_path_equals_the_scan(
    name: str, options: dict[str, Any], steps: int, x64: None
) -> None:
    cell = build(name, **options)
    params, x = noisy(cell), sequence(steps)
    shape = cell.init_state(params)["h"].shape
    keys = jax.random.split(jax.random.key(4), 3)
    slot, weights = (jax.random.normal(key, (steps, *shape)) for key in keys[:2])
    start = jax.random.normal(keys[2], shape)
    arguments = (params, start, x, slot)

    def by_states(params: Params, start: Array, x: Array, slot: Array) -> Array:
        assert cell.states is not None
        return cell.states(params, {"h": start}, x, {"h": slot})["h"]

    def by_scan(params: Params, start: Array, x: Array, slot: Array) -> Array:
        return scanned(cell, params, {"h": start}, x, {"h": slot})["h"]

    def everything(path: Callable[..., Array]) -> Tree:
        """Values, derivatives along a direction, and gradients (by slots: the adjoint)."""

        def loss(*arguments: Tree) -> Array:
            return jnp.sum(weights * jnp.sin(path(*arguments)))

        directions = jax.tree.map(jnp.cos, arguments)
        gradients = jax.grad(loss, argnums=(0, 1, 2, 3))(*arguments)
        return jax.jvp(path, arguments, directions), gradients

    close(*jax.jit(lambda: (everything(by_states), everything(by_scan)))())


@pytest.mark.parametrize("name", ["lru", "min_gru", "min_lstm"])
def test_the_parallel_path_maps_over_a_batch(name: str, x64: None) -> None:
    cell = build(name)
    params, x = noisy(cell), sequence(T, B)
    assert cell.states is not None
    start = {"h": jnp.stack([cell.init_state(params)["h"]] * B)}
    states = jax.jit(jax.vmap(cell.states, (None, 0, 1, 1), 1))(params, start, x, {})
    close({"h": states["h"][-1]}, unroll(cell, params, x).final_state)


def test_closed_minlstm_gates_leave_the_state_finite() -> None:
    cell = build("min_lstm")
    b = jnp.concatenate([jnp.full(2 * H, -300.0), jnp.ones(H)])
    params = {**cell.init(jax.random.key(0)), "b": b}
    gates = cell.gates(params, cell.init_state(params), jnp.zeros(I))
    np.testing.assert_allclose(gates["forget"], 0.5)
    loss = lambda p: jnp.sum(unroll(cell, p, sequence(3, B)).final_BxH)  # noqa: E731
    gradient = jax.jit(jax.grad(loss))(params)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize(("r_min", "r_max", "max_phase"), [(0.0, 1.0, 6.28), (0.9, 0.999, 0.314)])
def test_lru_eigenvalues_start_uniformly_on_the_ring(
    r_min: float, r_max: float, max_phase: float, x64: None
) -> None:
    options = {"r_min": r_min, "r_max": r_max, "max_phase": max_phase}
    params = build("lru", inputs=1, hidden=2000, **options).init(jax.random.key(5))
    values = np.asarray(eigenvalues(params))
    modulus, phase = np.abs(values), np.angle(values) % (2 * np.pi)
    assert r_min <= modulus.min() < modulus.max() <= r_max
    area = (modulus**2 - r_min**2) / (r_max**2 - r_min**2)
    assert scipy.stats.kstest(area, "uniform").pvalue > 0.01
    assert scipy.stats.kstest(phase / max_phase, "uniform").pvalue > 0.01
    # white noise of variance 1 in, stationary variance gamma^2 / (1 - |lambda|^2) of h out
    np.testing.assert_allclose(np.exp(2 * params["gamma_log"]) / (1 - modulus**2), 1, rtol=1e-9)


# Initial weights.


def uniform_on(values: Array, low: float, high: float) -> None:
    """A Kolmogorov-Smirnov test at one in a hundred; seeds are fixed."""
    test = scipy.stats.kstest(np.ravel(values), "uniform", args=(low, high - low))
    assert test.pvalue > 0.01, (test, low, high)


def gaussian_of(values: Array, deviation: float) -> None:
    test = scipy.stats.kstest(np.ravel(values), "norm", args=(0, deviation))
    assert test.pvalue > 0.01, (test, deviation)


def test_orthogonal_starts_as_rotations_of_pairs() -> None:
    u = 2 * jnp.arctan(-start_angles(jax.random.key(0), 5000, "cayley"))
    uniform_on(u, 0, np.pi / 2)
    uniform_on(start_angles(jax.random.key(1), 5000, "henaff"), -np.pi, np.pi)
    params = build("orthogonal", inputs=50, hidden=101).init(jax.random.key(2))
    gaussian_of(params["w_x"], np.sqrt(2 / 50))
    uniform_on(params["b"], -0.01, 0.01)
    A = np.zeros((101, 101))
    A[np.triu_indices(101, 1)] = params["a"]
    filled = np.argwhere(A)
    np.testing.assert_array_equal(filled, [(k, k + 1) for k in range(0, 100, 2)])


def test_unitary_start() -> None:
    params = build("unitary", inputs=50, hidden=1000).init(jax.random.key(3))
    limit = np.sqrt(6 / (50 + 2 * 1000))
    uniform_on(params["w_x"], -limit, limit)
    uniform_on(params["d"], -np.pi, np.pi)
    uniform_on(params["v"], -1, 1)
    uniform_on(params["h_0"], -np.sqrt(3 / 2000), np.sqrt(3 / 2000))
    assert float(jnp.abs(params["b"]).max()) == 0
    assert sorted(permutation(1000, 0)) == list(range(1000))
    assert (permutation(1000, 0) != permutation(1000, 1)).any()


def test_clockwork_and_lru_start() -> None:
    params = build("clockwork", inputs=50, hidden=100).init(jax.random.key(4))
    gaussian_of(params["w_x"], 0.1)
    gaussian_of(params["w_blocks"], 0.1)
    assert float(jnp.abs(params["b"]).max()) == 0
    params = build("lru", inputs=50, hidden=100).init(jax.random.key(5))
    gaussian_of(params["b"], np.sqrt(1 / 100))
    gaussian_of(params["c"], np.sqrt(1 / 100))
    gaussian_of(params["d"], np.sqrt(1 / 50))


@pytest.mark.parametrize(("name", "biases"), [("min_gru", [0, 0]), ("min_lstm", [1, 0, 0])])
def test_minimal_cells_start(name: str, biases: list[float]) -> None:
    params = build(name, inputs=50, hidden=100).init(jax.random.key(6))
    for block in jnp.split(params["w_x"], len(biases), axis=1):
        uniform_on(block, -np.sqrt(6 / 150), np.sqrt(6 / 150))
    np.testing.assert_array_equal(params["b"], np.repeat(biases, 100))
