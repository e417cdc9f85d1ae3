"""Lyapunov spectra of known maps, and how far to trust one: errors, drifts, lost vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Array
from rnnexp.laboratory.lyapunov import (
    Spectrum,
    autonomous_spectrum,
    kaplan_yorke,
    lyapunov_spectrum,
    trusted,
)
from tests.helpers.lyapunov_cells import KEY, custom, drive, linear, rotation


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


def test_a_diverged_trajectory_is_not_trusted() -> None:
    cell = custom(lambda h, x: h**3 + 2.0, 1)
    got = autonomous_spectrum(
        cell, cell.init(KEY), steps=60, batch_size=2, warmup_steps=20, key=KEY
    )
    assert not np.isfinite(got.exponents_K[0])
    assert not bool(trusted(got)[0])
