"""Norms kept, modules that tick, parallel paths, and how these cells start."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg  # type: ignore[import-untyped]
import scipy.stats  # type: ignore[import-untyped]

from rnnexp.cells.clockwork import module_sizes
from rnnexp.cells.lru import eigenvalues
from rnnexp.cells.orthogonal import start_angles
from rnnexp.cells.unitary import permutation
from rnnexp.core.types import Array, Params, Tree
from rnnexp.scan.unroll import unroll
from tests.cells.test_structured_cells import (
    B,
    H,
    I,
    T,
    adjoints_of_last,
    as_numpy,
    build,
    close,
    gaussian_of,
    noisy,
    scanned,
    sequence,
    uniform_on,
    unitary_matrix,
)


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
