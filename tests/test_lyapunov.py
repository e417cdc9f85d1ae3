"""Lyapunov spectra against closed forms, float64 products of Jacobians, and known maps."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.cells.lru import lru
from rnnexp.cells.rnn import rnn
from rnnexp.errors import UsageError
from rnnexp.gradflow.jacobians import step_jacobians
from rnnexp.gradflow.lyapunov import (
    Spectrum,
    autonomous_spectrum,
    kaplan_yorke,
    lyapunov_spectrum,
    random_start,
    to_dataset,
    trusted,
)
from rnnexp.gradflow.tangent import tangent_bytes
from rnnexp.types import Array, Params, State
from tests.variants import build

KEY = jax.random.key(5)


@pytest.fixture(autouse=True, scope="module")
def quick_compilation() -> Iterator[None]:
    """Most of the time here goes into compiling programs that run for milliseconds."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


# Programs are compiled once for a cell that is the same object.
one_rnn = functools.cache(rnn)


def linear(w_h: np.ndarray, activation: str = "linear", b: float = 0.0) -> tuple[Cell, Params]:
    """An Elman cell whose Jacobian (where active) is the transpose of `w_h`."""
    size = len(w_h)
    params = {"w_x": jnp.eye(size), "w_h": jnp.asarray(w_h), "b": jnp.full(size, b)}
    return one_rnn(size, size, activation=activation), params


def gru() -> tuple[Cell, Params, Array]:
    """A GRU of four units and 1,200 steps of inputs for two trajectories."""
    cell = one_gru()
    return cell, weights(cell), drive(cell, 1200, 2)


@functools.cache
def one_gru() -> Cell:
    return build(("gru", {}), 2, 4)


def closed_form(w_h: np.ndarray) -> Spectrum:
    """The spectrum of a linear cell of five units."""
    cell, params = linear(w_h)
    return lyapunov_spectrum(cell, params, drive(cell, 300, 2), warmup_steps=150, key=KEY)


def rotation(size: int, seed: int = 0) -> np.ndarray:
    basis: np.ndarray = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
    return basis


def drive(cell: Cell, steps: int, batch_size: int = 1) -> Array:
    shape = (steps, batch_size, cell.input_size)
    return jnp.asarray(np.random.default_rng(1).normal(size=shape))


def weights(cell: Cell, scale: float = 0.4) -> Params:
    """Gaussian weights: the cells' own initial ones cost more time to compile than to test."""
    rng = np.random.default_rng(2)
    shapes = jax.eval_shape(cell.init, KEY)
    return {k: jnp.asarray(scale * rng.normal(size=v.shape)) for k, v in shapes.items()}


def custom(step: Callable[[Array, Array], Array], size: int, input_size: int = 1) -> Cell:
    """A cell of the user's own from `(h, x) -> h`."""
    return Cell(
        name="custom",
        input_size=input_size,
        output_size=size,
        init=lambda key: {"b": jnp.zeros(size)},
        init_state=lambda params: {"h": jnp.zeros_like(params["b"])},
        transition=lambda params, state, x: {"h": step(state["h"], x)},
        parameter_count=size,
    )


def numpy_rates(cell: Cell, params: Params, x_TxBxI: Array, warmup: int) -> np.ndarray:
    """Mean of ln |diag R| by LAPACK's QR of explicit Jacobians, trajectory by trajectory."""
    jacobians = jax.jit(lambda x: step_jacobians(cell, params, x))
    rates = []
    for b in range(x_TxBxI.shape[1]):
        matrices = np.asarray(jacobians(x_TxBxI[:, b]))
        basis = rotation(matrices.shape[1], seed=b + 10)
        logs = []
        for matrix in matrices:
            basis, r = np.linalg.qr(matrix @ basis)
            with np.errstate(divide="ignore"):
                logs.append(np.log(np.abs(np.diag(r))))
        rates.append(np.mean(logs[warmup:], axis=0))
    return np.asarray(np.mean(rates, axis=0))


@pytest.mark.parametrize("scale", [1.0, 0.9, 1.05])
def test_a_scaled_orthogonal_matrix_has_the_logarithm_of_its_scale(scale: float, x64: None) -> None:
    got = closed_form(scale * rotation(5))
    np.testing.assert_allclose(got.exponents_K, np.log(scale), atol=1e-12)
    np.testing.assert_allclose(got.error_K, 0, atol=1e-12)
    np.testing.assert_allclose(got.drift_K, 0, atol=1e-12)
    assert float(got.kaplan_yorke) == (0 if scale < 1 else 5)
    assert bool(jnp.all(trusted(got)))


def test_a_diagonal_matrix_has_the_logarithms_of_its_entries(x64: None) -> None:
    entries = np.array([0.5, -0.9, 1e-20, 1.2, -0.1])
    got = closed_form(np.diag(entries))
    np.testing.assert_allclose(got.exponents_K, np.sort(np.log(np.abs(entries)))[::-1], atol=1e-10)
    assert bool(jnp.all(trusted(got)))


def test_a_matrix_that_is_not_normal_has_the_logarithms_of_its_eigenvalues(x64: None) -> None:
    entries = np.array([1.1, -0.8, 0.5, 0.2, 0.02])
    base = np.random.default_rng(3).normal(size=(5, 5))
    got = closed_form(base @ np.diag(entries) @ np.linalg.inv(base))
    np.testing.assert_allclose(got.exponents_K, np.log(np.abs(entries)), atol=1e-10)


def test_complex_eigenvalues_of_the_lru_count_twice(x64: None) -> None:
    cell = lru(2, 3)
    params = weights(cell)
    got = lyapunov_spectrum(cell, params, drive(cell, 4000), warmup_steps=3000, key=KEY)
    want = np.sort(np.repeat(-np.exp(np.asarray(params["nu_log"])), 2))[::-1]
    np.testing.assert_allclose(got.exponents_K, want, atol=1e-10)


@pytest.mark.parametrize("interval", [1, 3])
def test_a_delay_line_forgets_everything(interval: int, x64: None) -> None:
    cell = build(("tdnn", {"delay_steps": 3}), 2, 4)
    got = autonomous_spectrum(
        cell,
        weights(cell),
        steps=40,
        batch_size=2,
        warmup_steps=2,
        interval_steps=interval,
        key=KEY,
    )
    np.testing.assert_array_equal(got.exponents_K, np.full(4 + 3 * 4 + 3 * 2, -np.inf))
    for value in (got.error_K, got.drift_K, got.lost_K, got.kaplan_yorke):
        np.testing.assert_array_equal(value, 0)
    assert bool(jnp.all(trusted(got)))


def test_a_nilpotent_part_leaves_the_other_exponents_right(x64: None) -> None:
    matrix = np.diag([0.0, 0, 0, 0.9, 0.5]) + np.diag([1.0, 1, 0, 0], 1)
    got = closed_form(matrix)
    want = np.array([np.log(0.9), np.log(0.5), -np.inf, -np.inf, -np.inf])
    np.testing.assert_allclose(got.exponents_K, want, atol=1e-10)


def test_a_unit_that_goes_out_for_one_step_leaves_the_slower_ones_right(x64: None) -> None:
    cell, params = linear(np.diag([0.9, 0.6, 0.3]), "relu", b=1.0)
    x = jnp.zeros((300, 1, 3)).at[200, 0, 1].set(-50.0)
    got = lyapunov_spectrum(cell, params, x, warmup_steps=100, key=KEY)
    want = np.array([np.log(0.9), np.log(0.3), -np.inf])
    np.testing.assert_allclose(got.exponents_K, want, atol=1e-10)


def test_a_jacobian_of_low_rank_without_zeros_is_seen(x64: None) -> None:
    """NARX: h acts only through one output, so h and the line hold 1 + 3 dimensions."""
    cell = build(("narx", {"input_delay_steps": 0, "output_delay_steps": 4}), 2, 6)
    params, x = weights(cell), drive(cell, 1500)
    got = lyapunov_spectrum(cell, params, x, warmup_steps=700, key=KEY)
    want = numpy_rates(cell, params, x, 700)
    np.testing.assert_allclose(got.exponents_K[:4], want[:4], rtol=1e-7)
    np.testing.assert_array_equal(got.exponents_K[4:], -np.inf)
    assert not bool(jnp.all(trusted(got)))


def test_an_lstm_agrees_with_products_of_explicit_jacobians(x64: None) -> None:
    cell = build(("lstm", {}), 2, 3)
    params, x = weights(cell, 1.0), drive(cell, 1600, 2)
    got = lyapunov_spectrum(cell, params, x, warmup_steps=800, key=KEY)
    want = numpy_rates(cell, params, x, 800)
    np.testing.assert_allclose(got.exponents_K, np.sort(want)[::-1], rtol=1e-8)


def test_a_gru_agrees_with_products_of_explicit_jacobians(x64: None) -> None:
    cell, params, x = gru()
    got = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    want = numpy_rates(cell, params, x, 600)
    np.testing.assert_allclose(got.exponents_K, np.sort(want)[::-1], rtol=1e-7)


def test_the_largest_few_exponents_are_the_first_of_all(x64: None) -> None:
    cell, params, x = gru()
    all_ = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    few = lyapunov_spectrum(cell, params, x, count=3, warmup_steps=600, key=KEY)
    assert few.exponents_K.shape == (3,)
    np.testing.assert_allclose(few.exponents_K, all_.exponents_K[:3], rtol=1e-7)


def test_the_exponents_add_up_to_the_determinants(x64: None) -> None:
    cell, params, x = gru()
    got = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    jacobians = jax.jit(lambda x: step_jacobians(cell, params, x))
    logs = [np.linalg.slogdet(np.asarray(jacobians(x[:, b]))[600:])[1] for b in range(2)]
    np.testing.assert_allclose(jnp.sum(got.exponents_K), np.mean(logs), rtol=1e-12)


def test_the_interval_between_orthogonalisations_does_not_matter(x64: None) -> None:
    cell, params, x = gru()
    one = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    # three steps more fill no interval: they come first, and the last 600 are kept as before
    longer = jnp.concatenate([jnp.ones((3, 2, 2)), x])
    five = lyapunov_spectrum(
        cell, params, longer, warmup_steps=600, interval_steps=5, key=jax.random.key(8)
    )
    np.testing.assert_allclose(five.exponents_K, one.exponents_K, rtol=1e-6)


def test_a_vector_lost_between_orthogonalisations_is_said_to_be() -> None:
    turn = rotation(2)
    cell, params = linear((turn @ np.array([[1.0, 0.0], [0.7, 0.2]]) @ turn.T).astype(np.float32))
    fine, coarse = (
        lyapunov_spectrum(
            cell, params, drive(cell, 400), warmup_steps=100, interval_steps=steps, key=KEY
        )
        for steps in (2, 20)
    )
    np.testing.assert_allclose(fine.exponents_K, np.log([1.0, 0.2]), atol=1e-5)
    assert np.asarray(trusted(fine)).tolist() == [True, True]
    np.testing.assert_array_equal(coarse.exponents_K[1], -np.inf)
    assert np.asarray(trusted(coarse)).tolist() == [True, False]


def separation_rates(w_h: np.ndarray, steps: int, warmup: int, batch_size: int) -> np.ndarray:
    """ln growth a step of the distance of two trajectories, kept at 1e-7, (T, B)."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(batch_size, len(w_h)))
    away = 1e-7 * rng.normal(size=a.shape)
    logs = []
    for _ in range(steps):
        away *= 1e-7 / np.linalg.norm(away, axis=1, keepdims=True)
        b = np.tanh((a + away) @ w_h)
        a = np.tanh(a @ w_h)
        away = b - a
        logs.append(np.log(np.linalg.norm(away, axis=1) / 1e-7))
    return np.array(logs[warmup:])


def test_a_chaotic_network_agrees_with_two_trajectories_that_part(x64: None) -> None:
    w_h = 2.5 * np.random.default_rng(4).normal(size=(30, 30)) / np.sqrt(30)
    cell, params = linear(w_h, "tanh")
    got = autonomous_spectrum(
        cell, params, steps=3000, batch_size=6, warmup_steps=500, count=1, key=KEY
    )
    rates = separation_rates(w_h, 3000, 500, 6).mean(0)
    error = np.hypot(got.error_K[0], rates.std(ddof=1) / np.sqrt(6))
    assert float(got.exponents_K[0]) > 10 * error > 0
    np.testing.assert_allclose(got.exponents_K[0], rates.mean(), atol=4 * error)


def test_the_henon_map_has_its_published_exponents(x64: None) -> None:
    """Sprott 2003, "Chaos and Time-Series Analysis": 0.41922, -1.62319, dimension 1.258."""
    cell = custom(lambda h, x: jnp.stack([1 - 1.4 * h[0] ** 2 + h[1], 0.3 * h[0]]), 2)
    got = autonomous_spectrum(
        cell,
        cell.init(KEY),
        steps=12_000,
        batch_size=8,
        start_scale=0.05,
        warmup_steps=1000,
        key=KEY,
    )
    np.testing.assert_allclose(got.exponents_K, [0.41922, -1.62319], atol=4 * float(got.error_K[0]))
    np.testing.assert_allclose(jnp.sum(got.exponents_K), np.log(0.3), rtol=1e-12)
    np.testing.assert_allclose(got.kaplan_yorke, 1.258, atol=0.003)
    assert 0 < float(got.error_K[0]) < 0.003
    assert bool(jnp.all(trusted(got)))


@pytest.mark.parametrize(
    ("exponents", "dimension"),
    [
        ([0.906, 0.0, -14.57], 2 + 0.906 / 14.57),  # Lorenz 1963
        ([-14.57, 0.906, 0.0], 2 + 0.906 / 14.57),
        ([0.13, 0.0, -14.1], 2 + 0.13 / 14.1),
        ([-0.1, -0.2], 0.0),
        ([0.0, -0.2], 1.0),
        ([0.3, -0.1, -0.1], 3.0),
        ([0.3, -0.1, -0.2], 3.0),
        ([0.3, 0.2, -np.inf], 2.0),
        ([-np.inf, -np.inf], 0.0),
        ([0.3], 1.0),
        ([0.3, np.nan], np.nan),
    ],
)
def test_kaplan_yorke_dimensions(exponents: list[float], dimension: float, x64: None) -> None:
    got = jax.jit(kaplan_yorke)(jnp.array(exponents))
    np.testing.assert_allclose(got, dimension, rtol=1e-12)


def test_exponents_within_rounding_of_zero_count_as_zero() -> None:
    cell, params = linear(rotation(8).astype(np.float32))
    got = lyapunov_spectrum(cell, params, drive(cell, 200), warmup_steps=20, key=KEY)
    assert float(jnp.abs(got.exponents_K).max()) > 0
    assert float(got.kaplan_yorke) == 8


# A cell at h = 0 whose Jacobian is exp(x): its exponent is the mean of x.
EXPONENTIAL = custom(lambda h, x: jnp.exp(x) * h, 1)


def correlated(steps: int, batch_size: int) -> np.ndarray:
    """200 draws of x_t = 0.8 x_{t-1} + noise: the mean's variance is 25 / T for long T."""
    x = np.random.default_rng(3).normal(size=(200, steps + 50, batch_size, 1))
    for t in range(1, steps + 50):
        x[:, t] += 0.8 * x[:, t - 1]
    return x[:, 50:]


@jax.jit
def repeated(x_NxTxBx1: Array) -> Spectrum:
    """The spectra of EXPONENTIAL for N inputs."""

    def one(x: Array) -> Spectrum:
        return lyapunov_spectrum(EXPONENTIAL, {"b": jnp.zeros(1)}, x, warmup_steps=40, key=KEY)

    return Spectrum(*jax.vmap(one)(x_NxTxBx1))


@pytest.mark.parametrize(
    ("kind", "steps", "batch_size", "variance"),
    [
        ("independent", 800, 1, 25 / 800),
        ("independent", 3200, 1, 25 / 3200),
        ("independent", 800, 8, 25 / 800 / 8),
        ("copies", 800, 8, 25 / 800),
        ("shifted", 800, 8, (25 / 800 + 1) / 8),
    ],
)
def test_the_error_bar_is_the_deviation_over_repetitions(
    kind: str, steps: int, batch_size: int, variance: float, x64: None
) -> None:
    x = correlated(steps + 40, batch_size)
    if kind == "copies":
        x = np.broadcast_to(x[:, :, :1], x.shape)
    if kind == "shifted":
        x = x + np.random.default_rng(4).normal(size=(200, 1, batch_size, 1))
    got = repeated(jnp.asarray(x))
    means, errors = np.asarray(got.exponents_K)[:, 0], np.asarray(got.error_K)[:, 0]
    # 200 draws: the deviation's own error is 5 %
    np.testing.assert_allclose(np.std(means), np.sqrt(variance), rtol=0.2)
    # the larger of two estimates lies a little above, blocks of 50 steps a little below
    np.testing.assert_allclose(np.sqrt(np.mean(errors**2)), np.sqrt(variance), rtol=0.3)
    covered = np.mean(np.abs(means) < 2 * errors)
    assert 0.88 < covered <= 0.99, covered


def test_a_drift_is_seen_and_not_trusted(x64: None) -> None:
    noise = 0.01 * drive(EXPONENTIAL, 400, 2)
    ramp = jnp.linspace(0.0, 0.1, 400)[:, None, None]
    still, moving = (
        lyapunov_spectrum(EXPONENTIAL, {"b": jnp.zeros(1)}, x, warmup_steps=0, key=KEY)
        for x in (noise, noise + ramp)
    )
    np.testing.assert_allclose(moving.drift_K, 0.05, atol=0.005)
    assert bool(trusted(still)[0])
    assert float(moving.error_K[0]) < 0.01
    assert not bool(trusted(moving)[0])
    assert bool(trusted(moving, tolerance=0.1)[0])
    assert not bool(trusted(still, tolerance=1e-5)[0])


@pytest.mark.parametrize("name", CELLS.builtin)
def test_every_cell_has_a_spectrum_without_nan(name: str) -> None:
    cell = build((name, {}), 2, 4)
    params = weights(cell)
    got = lyapunov_spectrum(cell, params, drive(cell, 80, 2), warmup_steps=20, key=KEY)
    exponents = np.asarray(got.exponents_K)
    size = sum(v.size for v in cell.init_state(params).values())
    assert exponents.shape == (size,)
    assert np.all(exponents < 1)  # and not NaN
    assert np.all(exponents[:-1] >= exponents[1:])
    for value in (got.error_K, got.drift_K, got.kaplan_yorke, got.lost_K):
        assert np.all(np.isfinite(value))
    forgets = {"feedforward": 4, "tdnn": size, "narx": size - 8, "indrnn": 4}
    if name not in ("orthogonal", "unitary"):  # whose modReLU may put units out
        assert np.sum(np.isneginf(exponents)) == forgets.get(name, 0)


def test_a_counter_may_be_left_out(x64: None) -> None:
    cell = build(("clockwork", {}), 2, 4)
    params, x = weights(cell), drive(cell, 240)
    all_, rest = (
        lyapunov_spectrum(cell, params, x, warmup_steps=120, key=KEY, leave_out=leave_out)
        for leave_out in ((), ("t",))
    )
    np.testing.assert_allclose(all_.exponents_K[0], 0, atol=1e-12)
    np.testing.assert_allclose(rest.exponents_K, all_.exponents_K[1:], rtol=1e-7)


def test_a_diverged_trajectory_is_not_trusted() -> None:
    cell = custom(lambda h, x: h**3 + 2.0, 1)
    got = autonomous_spectrum(
        cell, cell.init(KEY), steps=60, batch_size=2, warmup_steps=20, key=KEY
    )
    assert not np.isfinite(got.exponents_K[0])
    assert not bool(trusted(got)[0])


def test_a_constant_input_equals_the_same_input_at_every_step(x64: None) -> None:
    cell, params, _ = gru()
    x_I = jnp.array([0.5, -1.0])
    start = random_start(cell, params, 2, 1.0, KEY)
    x = jnp.broadcast_to(x_I, (1200, 2, 2))
    want = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY, start=start)
    # one step fills no interval of two, and leads
    got = autonomous_spectrum(
        cell,
        params,
        steps=1201,
        batch_size=2,
        warmup_steps=600,
        interval_steps=2,
        input_I=x_I,
        start=start,
        key=KEY,
    )
    # the last two belong to a complex pair, of which only the sum settles
    sums, want_sums = np.cumsum(got.exponents_K), np.cumsum(want.exponents_K)
    np.testing.assert_allclose(np.delete(sums, 2), np.delete(want_sums, 2), atol=1e-6)
    without = autonomous_spectrum(cell, params, steps=1200, batch_size=2, warmup_steps=600, key=KEY)
    assert float(jnp.abs(without.exponents_K - want.exponents_K).max()) > 0.01


def test_a_random_start_leaves_counters_and_copies_alone() -> None:
    for name in ("clockwork", "narx", "lstm"):
        cell = build((name, {}), 2, 4)
        params = weights(cell)
        start = random_start(cell, params, 3, 0.5, KEY)
        for leaf, value in cell.init_state(params).items():
            same = np.array_equal(start[leaf], np.broadcast_to(value, start[leaf].shape))
            assert same == (leaf not in cell.probed), leaf


def counted(cell: Cell) -> tuple[Cell, list[int]]:
    """The cell, and a list that grows whenever its transition is traced."""
    traces: list[int] = []

    def transition(params: Params, state: State, x_I: Array) -> State:
        traces.append(1)
        return cell.transition(params, state, x_I)

    return dataclasses.replace(cell, transition=transition), traces


def test_a_second_call_does_not_trace_again_and_lanes_agree() -> None:
    cell, traces = counted(build(("gru", {}), 2, 3))
    first, second = weights(cell, 0.4), weights(cell, 0.8)
    x = drive(cell, 60, 2)

    def run(params: Params) -> Spectrum:
        return lyapunov_spectrum(cell, params, x, warmup_steps=20, key=KEY)

    alone = [run(first)]
    before = len(traces)
    alone.append(run(second))
    assert len(traces) == before > 0
    both = jax.vmap(run)(jax.tree.map(lambda *p: jnp.stack(p), first, second))
    for lane in range(2):
        np.testing.assert_allclose(both.exponents_K[lane], alone[lane].exponents_K, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, "count must lie in 1 ... 6"),
        ({"count": 7}, "count must lie in 1 ... 6"),
        ({"warmup_steps": 39}, "fewer than two intervals"),
        ({"interval_steps": 25}, "fewer than two intervals"),
        ({"interval_steps": 0}, "interval_steps must be at least 1"),
        ({"warmup_steps": -1}, "warmup_steps at least 0"),
        ({"leave_out": ("hh",)}, "unknown state leaf 'hh'"),
        ({"x_TxBxI": jnp.zeros((40, 1, 3))}, r"shape \(T, B, 2\)"),
        ({"x_TxBxI": jnp.zeros((40, 2))}, r"shape \(T, B, 2\)"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], words: str) -> None:
    cell = build(("lstm", {}), 2, 3)
    usual = {"x_TxBxI": jnp.zeros((40, 1, 2)), "warmup_steps": 10, "key": KEY}
    with pytest.raises(UsageError, match=words):
        lyapunov_spectrum(cell, weights(cell), **{**usual, **change})
    if "x_TxBxI" not in change:
        usual = {"steps": 40, "batch_size": 1, "warmup_steps": 10, "key": KEY}
        with pytest.raises(UsageError, match=words):
            autonomous_spectrum(cell, weights(cell), **{**usual, **change})


def test_bad_arguments_of_an_autonomous_run_are_named() -> None:
    cell = build(("lstm", {}), 2, 3)
    usual: dict[str, Any] = {"steps": 40, "batch_size": 1, "warmup_steps": 10, "key": KEY}
    for change, words in (
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"input_I": jnp.zeros(3)}, r"shape \(2,\)"),
    ):
        with pytest.raises(UsageError, match=words):
            autonomous_spectrum(cell, weights(cell), **{**usual, **change})


def test_a_data_set_has_named_dimensions() -> None:
    got = closed_form(np.diag([0.9, 0.8, 0.7, 0.6, 0.5]))
    data = to_dataset(got)
    assert dict(data.sizes) == {"exponent": 5}
    assert data.kaplan_yorke.dims == ()
    assert data.lyapunov.attrs["units"] == "nats per step"
    np.testing.assert_array_equal(data.lyapunov.sel(exponent=0), got.exponents_K[0])
    np.testing.assert_array_equal(data.lyapunov_error, got.error_K)
    np.testing.assert_array_equal(data.lyapunov_drift, got.drift_K)


@pytest.mark.parametrize(("name", "hidden", "count"), [("lstm", 48, None), ("gru", 128, 16)])
def test_the_stated_memory_is_what_the_program_takes(
    name: str, hidden: int, count: int | None
) -> None:
    cell = build((name, {}), 2, hidden)
    params, x = weights(cell), drive(cell, 60, 4)

    @jax.jit
    def run(params: Params, x: Array) -> Spectrum:
        return lyapunov_spectrum(cell, params, x, count=count, warmup_steps=20, key=KEY)

    jax.config.update("jax_disable_most_optimizations", False)
    analysis = run.lower(params, x).compile().memory_analysis()
    jax.config.update("jax_disable_most_optimizations", True)
    assert analysis is not None
    assert (
        0.5
        < analysis.temp_size_in_bytes / tangent_bytes(cell, params, 4, count, jnp.float32)
        <= 1.0
    )
