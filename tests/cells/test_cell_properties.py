"""How cells start, and what is true of them whatever their weights."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.antisymmetric import antisymmetric
from rnnexp.cells.base import Cell
from rnnexp.cells.cornn import cornn
from rnnexp.cells.indrnn import indrnn
from rnnexp.cells.lem import lem
from rnnexp.cells.lstm import lstm
from rnnexp.cells.minimal_gated import minimal_gated
from rnnexp.cells.scrn import scrn
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params
from rnnexp.scan.unroll import unroll
from tests.cells.test_cell_equations import CASES, C, H, I, T, inputs, noisy


def assert_gaussian(values: Array, deviation: float) -> None:
    """Mean 0 and that deviation, each within five of its own standard errors."""
    x = np.asarray(values, np.float64).ravel() / deviation
    assert abs(x.mean()) < 5 / np.sqrt(x.size)
    assert abs(np.square(x).mean() - 1) < 5 * np.sqrt(2 / x.size)
    # the fourth moment is 3 for a Gaussian, 9/5 for a uniform; its variance is 96
    assert abs((x**4).mean() - 3) < 5 * np.sqrt(96 / x.size)


def assert_uniform(values: Array | np.ndarray, low: float, high: float) -> None:
    """Within [low, high], and mean and variance within five standard errors."""
    u = (np.asarray(values, np.float64).ravel() - low) / (high - low)
    assert -1e-4 <= u.min() < u.max() <= 1 + 1e-4
    assert abs(u.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / u.size)
    assert abs(np.square(u - 1 / 2).mean() - 1 / 12) < 5 * np.sqrt(1 / 180 / u.size)


def test_start_of_the_minimal_gated_unit() -> None:
    params = minimal_gated(150, 64, forget_bias=-2.0).init(jax.random.key(0))
    np.testing.assert_array_equal(params["b"], np.repeat([-2.0, 0.0], 64))
    for square in jnp.split(params["w_h"], 2, axis=1):
        np.testing.assert_allclose(square @ square.T, np.eye(64), atol=1e-5)
    for block in jnp.split(params["w_x"], 2, axis=1):
        assert_uniform(block, -np.sqrt(6 / 214), np.sqrt(6 / 214))


def test_start_of_indrnn() -> None:
    bound = 3.0 ** (1 / 20)
    for options, low, high in [
        ({}, 0.0, 1.0),
        ({"longest_steps": 20, "gamma": 3.0}, 0.0, bound),
        ({"longest_steps": 20, "gamma": 3.0, "start": "long"}, 1 / bound, bound),
    ]:
        params = indrnn(20, 2000, **options).init(jax.random.key(0))  # type: ignore[arg-type]
        assert_uniform(params["u"], low, high)
        assert_gaussian(params["w_x"], 0.001)
        assert float(jnp.abs(params["b"]).max()) == 0


def test_start_of_cornn_and_lem() -> None:
    for cell, limit in [(cornn(30, 100), 230**-0.5), (lem(30, 100), 0.1)]:
        for values in cell.init(jax.random.key(0)).values():
            assert_uniform(values, -limit, limit)


def test_start_of_antisymmetric() -> None:
    params = antisymmetric(25, 100, gated=True, recurrent_scale=3.0).init(jax.random.key(0))
    assert_gaussian(params["w_x"], 1 / 5)
    assert_gaussian(params["w_upper"], 3 / 10)
    assert float(jnp.abs(params["b"]).max()) == 0


def test_start_of_scrn() -> None:
    cell = scrn(50, 80)
    assert cell.output_size == 80 + 40
    assert scrn(3, 1).output_size == 2
    for values in cell.init(jax.random.key(0)).values():
        assert_gaussian(values, 0.05)


def jacobian(cell: Cell, params: Params, state: dict[str, Array], x_I: Array) -> np.ndarray:
    """d(new state) / d(old state), leaves side by side in the order of `state`."""
    names = list(state)
    tree: Any = jax.jacobian(lambda s: cell.transition(params, s, x_I))(state)
    return np.block([[np.asarray(tree[new][old]) for old in names] for new in names])


def test_indrnn_units_read_only_themselves_and_grow_at_most_by_gamma(x64: None) -> None:
    cell = indrnn(I, H, longest_steps=12, gamma=2.0)
    params = {
        **noisy(cell),
        "u": jnp.array([3.0, -3.0, 0.5, -0.2, 1.0, 1.1]),
        "b": jnp.full(H, 9.0),
    }
    state = {"h": jnp.arange(1.0, H + 1) / H}
    step = jacobian(cell, params, state, inputs()[0, 0])
    bound = 2 ** (1 / 12)
    np.testing.assert_allclose(step, np.diag([bound, -bound, 0.5, -0.2, 1.0, bound]), atol=1e-12)
    assert np.linalg.norm(np.linalg.matrix_power(step, 12), 2) == pytest.approx(2.0)
    unbounded = jax.grad(
        lambda u: jnp.sum(cell.transition({**params, "u": u}, state, inputs()[0, 0])["h"])
    )
    np.testing.assert_array_equal(
        unbounded(params["u"]) != 0, [False, False, True, True, True, False]
    )


@pytest.mark.parametrize("gated", [False, True])
def test_antisymmetric_eigenvalues_have_real_part_minus_gamma(gated: bool, x64: None) -> None:
    epsilon, gamma = 0.25, 0.4
    cell = antisymmetric(I, H, epsilon=epsilon, gamma=gamma, gated=gated)
    params = noisy(cell)
    at_rest = {**params, "b": jnp.zeros_like(params["b"])}
    step = jacobian(cell, at_rest, {"h": jnp.zeros(H)}, jnp.zeros(I))
    # at the origin tanh has slope 1, and a gate without bias is 1/2
    eigenvalues = np.linalg.eigvals((step - np.eye(H)) / (epsilon * (0.5 if gated else 1.0)))
    np.testing.assert_allclose(eigenvalues.real, -gamma, atol=1e-12)
    assert np.abs(eigenvalues.imag).max() > 0.1


def test_antisymmetric_is_prepared_once_or_at_every_step_alike(x64: None) -> None:
    cell = antisymmetric(I, H, gated=True)
    params, state = noisy(cell), {"h": jnp.arange(1.0, H + 1)}
    x_I = inputs()[0, 0]
    prepared = cell.prepare(params)
    np.testing.assert_array_equal(
        cell.transition(params, state, x_I)["h"], cell.transition(prepared, state, x_I)["h"]
    )
    np.testing.assert_array_equal(
        cell.gates(params, state, x_I)["update"], cell.gates(prepared, state, x_I)["update"]
    )


def oscillate(epsilon: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (steps, H) of a coRNN without drive, dt 0.1 and gamma 2."""
    cell = cornn(I, H, dt=0.1, gamma=2.0, epsilon=epsilon)
    params = jax.tree.map(jnp.zeros_like, noisy(cell))
    state: Any = {"h": jnp.linspace(-1.0, 2.0, H), "z": jnp.linspace(0.5, -1.0, H)}
    transition = jax.jit(cell.transition)
    path = []
    for _ in range(steps):
        state = transition(params, state, jnp.zeros(I))
        path.append(state)
    return np.array([s["h"] for s in path]), np.array([s["z"] for s in path])


def test_cornn_without_drive_or_damping_keeps_its_energy(x64: None) -> None:
    # Symplectic Euler conserves z^2 + gamma*y^2 - dt*gamma*y*z exactly.
    y, z = oscillate(epsilon=0.0, steps=300)
    energy = z**2 + 2.0 * y**2 - 0.1 * 2.0 * y * z
    np.testing.assert_allclose(energy, np.broadcast_to(energy[0], energy.shape), rtol=1e-11)
    # and its period is that of cos(theta) = 1 - dt^2*gamma/2
    theta = np.arccos(1 - 0.1**2 * 2.0 / 2)
    turns = np.sum(np.diff(np.sign(y[:, 0])) != 0)
    assert abs(turns - 300 * theta / np.pi) <= 1


def test_cornn_damping_contracts_phase_space_by_one_minus_dt_epsilon(x64: None) -> None:
    cell = cornn(I, H, dt=0.1, gamma=2.0, epsilon=3.0)
    params = jax.tree.map(jnp.zeros_like, noisy(cell))
    state = {"h": jnp.zeros(H), "z": jnp.zeros(H)}
    step = jacobian(cell, params, state, jnp.zeros(I))
    assert np.linalg.det(step) == pytest.approx((1 - 0.1 * 3.0) ** H, rel=1e-12)
    y, z = oscillate(epsilon=3.0, steps=300)
    assert np.abs(y[-1]).max() < 1e-6
    assert np.abs(z[-1]).max() < 1e-6


def test_lem_states_stay_within_one_and_its_gates_move_them(x64: None) -> None:
    cell = lem(I, H)
    params, x = jax.tree.map(lambda v: 5 * v, noisy(cell)), inputs()
    assert float(jnp.abs(unroll(cell, params, x).outputs_TxBxH).max()) <= 1
    closed = {**params, "b": jnp.full(4 * H, -1e4)}  # both gates shut: nothing moves
    state = {"h": jnp.linspace(-0.5, 0.5, H), "z": jnp.linspace(0.3, -0.3, H)}
    new = cell.transition(closed, state, x[0, 0])
    for leaf, value in state.items():
        np.testing.assert_array_equal(new[leaf], value)


def test_scrn_context_is_an_average_with_gradient_alpha(x64: None) -> None:
    cell = scrn(I, H, context_size=C, alpha=0.9)
    params, x = noisy(cell), inputs()
    got = unroll(cell, params, x).outputs_TxBxH[:, :, H:]
    kernel = [0.1 * 0.9 ** (T - 1 - t) for t in range(T)]  # the closed form of the average
    expected = np.einsum("t,tbi,ic->bc", kernel, x, params["w_xs"])
    np.testing.assert_allclose(got[-1], expected, rtol=1e-12)
    state = {"s": jnp.ones(C), "h": jnp.ones(H) / 2}
    step = jacobian(cell, params, state, x[0, 0])
    np.testing.assert_allclose(step[:C], np.hstack([0.9 * np.eye(C), np.zeros((C, H))]), atol=1e-15)


@pytest.mark.parametrize("peepholes", [False, True])
def test_coupled_gates_sum_to_one(peepholes: bool, x64: None) -> None:
    cell = lstm(I, H, coupled=True, peepholes=peepholes)
    state = {"c": jnp.linspace(-2.0, 2.0, H), "h": jnp.linspace(1.0, -1.0, H)}
    gates = cell.gates(noisy(cell), state, inputs()[0, 0])
    assert set(gates) == {"input", "forget", "output"}
    np.testing.assert_allclose(gates["input"] + gates["forget"], 1.0, rtol=1e-15)
    # a convex combination of c and tanh: no state leaves [-1, 1] once it is inside
    x = 10 * inputs()
    assert float(jnp.abs(unroll(cell, noisy(cell), x).final_state["c"]).max()) <= 1


def test_coupled_equals_an_lstm_whose_input_gate_mirrors_the_forget_gate(x64: None) -> None:
    # 1 - s(a) = s(-a): an input block that is minus the forget block couples them
    coupled, free = lstm(I, H, coupled=True, peepholes=True), lstm(I, H, peepholes=True)
    params = noisy(coupled)
    mirrored = {
        k: jnp.concatenate([-v[..., :H], v], axis=-1) for k, v in params.items() if k != "p"
    }
    mirrored["p"] = jnp.concatenate([-params["p"][:1], params["p"]])
    np.testing.assert_allclose(
        unroll(coupled, params, inputs()).outputs_TxBxH,
        unroll(free, mirrored, inputs()).outputs_TxBxH,
        rtol=1e-12,
    )


@pytest.mark.parametrize("coupled", [False, True])
def test_chrono_starts_both_gates_at_the_same_time_constants(coupled: bool, x64: None) -> None:
    cell = lstm(I, 100, coupled=coupled, chrono_steps=40)
    params = cell.init(jax.random.key(3))
    gates = cell.gates(params, cell.init_state(params), jnp.zeros(I))
    np.testing.assert_allclose(gates["input"], 1 - gates["forget"], rtol=1e-12)
    # f = s(ln u) = u / (1 + u), so 1 / (1 - f) = 1 + u: a time constant from U(2, 40)
    assert_uniform(1 / (1 - gates["forget"]), 2.0, 40.0)


def test_gates_of_the_other_cells(x64: None) -> None:
    x_I = inputs()[0, 0]
    expected = {
        "minimal_gated": {"forget"},
        "lem": {"time_step_z", "time_step_h"},
        "antisymmetric-gated": {"update"},
        "antisymmetric": set(),
        "indrnn": set(),
        "cornn": set(),
        "scrn": set(),
    }
    for case, names in expected.items():
        cell, _ = CASES[case]
        params = noisy(cell)
        gates = cell.gates(params, {k: v + 0.3 for k, v in cell.init_state(params).items()}, x_I)
        assert set(gates) == names
        for values in gates.values():
            assert values.shape == (H,)
            assert bool(jnp.all((values > 0) & (values < 1)))


@pytest.mark.parametrize("value", [1e4, -1e4])
def test_the_minimal_gate_replaces_or_keeps(value: float, x64: None) -> None:
    cell = minimal_gated(I, H)
    params = noisy(cell)
    params = {**params, "b": params["b"].at[:H].set(value)}
    h, x_I = jnp.linspace(-0.5, 0.5, H), inputs()[0, 0]
    new = cell.transition(params, {"h": h}, x_I)["h"]
    rnn = jnp.tanh(x_I @ params["w_x"][:, H:] + h @ params["w_h"][:, H:] + params["b"][H:])
    np.testing.assert_allclose(new, rnn if value > 0 else h, rtol=1e-12)


@pytest.mark.parametrize(
    ("factory", "options", "word"),
    [
        (indrnn, {"start": "far"}, "uniform"),
        (indrnn, {"longest_steps": -1}, "longest_steps"),
        (indrnn, {"gamma": 0.5}, "gamma"),
        (indrnn, {"start": "long"}, "longest_steps"),
        (cornn, {"dt": 0.0}, "dt"),
        (cornn, {"gamma": -1.0}, "gamma"),
        (cornn, {"epsilon": -1.0}, "epsilon"),
        (lem, {"dt": -1.0}, "dt"),
        (antisymmetric, {"epsilon": 0.0}, "epsilon"),
        (antisymmetric, {"gamma": -0.1}, "gamma"),
        (scrn, {"context_size": -1}, "context_size"),
        (scrn, {"alpha": 1.0}, "alpha"),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_bad_options_name_themselves(
    factory: Callable[..., Cell], options: dict[str, Any], word: str
) -> None:
    with pytest.raises(UsageError, match=word):
        factory(I, H, **options)
