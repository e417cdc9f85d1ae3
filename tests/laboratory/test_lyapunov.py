"""Lyapunov spectra: closed forms, products of Jacobians, known maps, error bars, and calls."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.cells.lru import lru
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params
from rnnexp.laboratory.jacobians import step_jacobians
from rnnexp.laboratory.lyapunov import (
    Spectrum,
    autonomous_spectrum,
    kaplan_yorke,
    lyapunov_spectrum,
    random_start,
    trusted,
)
from tests.helpers.lyapunov_cells import (
    KEY,
    closed_form,
    custom,
    drive,
    gru,
    linear,
    rotation,
    weights,
)
from tests.helpers.variants import build, small


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


def test_the_exponents_add_up_to_the_determinants(x64: None) -> None:
    cell, params, x = gru()
    got = lyapunov_spectrum(cell, params, x, warmup_steps=600, key=KEY)
    jacobians = jax.jit(lambda x: step_jacobians(cell, params, x))
    logs = [np.linalg.slogdet(np.asarray(jacobians(x[:, b]))[600:])[1] for b in range(2)]
    np.testing.assert_allclose(jnp.sum(got.exponents_K), np.mean(logs), rtol=1e-12)


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


def test_a_diverged_trajectory_is_not_trusted() -> None:
    cell = custom(lambda h, x: h**3 + 2.0, 1)
    got = autonomous_spectrum(
        cell, cell.init(KEY), steps=60, batch_size=2, warmup_steps=20, key=KEY
    )
    assert not np.isfinite(got.exponents_K[0])
    assert not bool(trusted(got)[0])


PECULIAR = ("feedforward", "tdnn", "narx", "indrnn", "lru", "clockwork")
"""Cells that forget, count, or are complex; the others' spectra are of one kind."""


@pytest.mark.parametrize(
    "name",
    [
        name if name in PECULIAR else pytest.param(name, marks=pytest.mark.slow)
        for name in CELLS.builtin
    ],
)
def test_every_cell_has_a_spectrum_without_nan(name: str) -> None:
    cell = build(small(name), 2, 4)
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
    # what is read, and the sum of each head's weights; the links' diagonals and what was written
    forgets |= {"ntm": 2 + 3, "dnc": 6 + 6}
    if name not in ("orthogonal", "unitary"):  # whose modReLU may put units out
        assert np.sum(np.isneginf(exponents)) == forgets.get(name, 0)


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
