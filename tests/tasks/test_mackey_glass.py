"""Mackey-Glass equals an independent integration, solves its equation and ends free."""

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.tasks import mackey_glass
from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of
from tests.helpers.task_batches import mean_scores


def runge_kutta(level_B: np.ndarray, tau: int, units: int, grid: int) -> np.ndarray:
    """Mackey-Glass samples (units, B) from a constant history, by RK4 in NumPy.

    Between two points the delayed value is their mean, an error of O(grid^-2).
    """
    lag = tau * grid
    x = np.empty((lag + units * grid + 1, len(level_B)))
    x[: lag + 1] = level_B

    def slope(now: np.ndarray, before: np.ndarray) -> np.ndarray:
        change: np.ndarray = 0.2 * before / (1 + before**10) - 0.1 * now
        return change

    for n in range(lag, lag + units * grid):
        old, new, h = x[n - lag], x[n - lag + 1], 1 / grid
        k_1 = slope(x[n], old)
        k_2 = slope(x[n] + h / 2 * k_1, (old + new) / 2)
        k_3 = slope(x[n] + h / 2 * k_2, (old + new) / 2)
        k_4 = slope(x[n] + h * k_3, new)
        x[n + 1] = x[n] + h / 6 * (k_1 + 2 * k_2 + 2 * k_3 + k_4)
    samples: np.ndarray = x[lag + grid :: grid]
    return samples


@pytest.mark.parametrize("tau", [17, 30])
def test_mackey_glass_equals_runge_kutta_with_a_far_smaller_step(tau: int, x64: None) -> None:
    level_B = np.linspace(0.5, 1.3, 9)

    def ours(grid: int, dtype: type = np.float64) -> np.ndarray:
        history_MxB: np.ndarray = np.tile(level_B.astype(dtype), (tau * grid + 1, 1))
        samples = mackey_glass.simulate(jnp.asarray(history_MxB), tau=tau, units=100, grid=grid)
        return np.asarray(samples)

    x = ours(mackey_glass.GRID)
    np.testing.assert_allclose(x, runge_kutta(level_B, tau, 100, 200), rtol=0, atol=2e-6)
    # the accuracy that the docstring states: halving the step, and float32
    np.testing.assert_allclose(x, ours(2 * mackey_glass.GRID), rtol=0, atol=1e-6)
    np.testing.assert_allclose(x, ours(mackey_glass.GRID, np.float32), rtol=0, atol=5e-6)
    errors = [np.abs(ours(grid) - ours(40)).max() for grid in (5, 10)]
    assert errors[0] / errors[1] > 10  # of fourth order: near 16


@pytest.mark.parametrize("tau", [17, 30])
def test_mackey_glass_batches_solve_the_equation_and_have_the_stated_moments(tau: int) -> None:
    task = build_task("mackey_glass", tau=tau, length_steps=160)
    batch = batch_of(task, 2000)
    x, y = np.asarray(batch.inputs_TxBxI)[..., 0], np.asarray(batch.targets)[..., 0]
    np.testing.assert_array_equal(x[1:], y[:-1])
    # x(t+1) from x(t) and x on [t-tau, t+1-tau], by splines through the samples of two units
    x = x[:, :20].astype(np.float64)
    for t in (tau + 3, 90, 150):
        r = np.linspace(0, 1, 201)
        nodes = np.arange(-3, 5)
        weights = np.array([np.poly1d(np.polyfit(nodes, row, 7))(r) for row in np.eye(8)])
        delayed = weights.T @ x[t - tau + nodes]
        kernel = (np.exp(-0.1 * (1 - r)))[:, None]
        driven = np.trapezoid(kernel * 0.2 * delayed / (1 + delayed**10), r, axis=0)
        np.testing.assert_allclose(y[t, :20], np.exp(-0.1) * x[t] + driven, atol=1e-3)
    scores = mean_scores(task, jnp.full_like(batch.targets, y.mean()), batch)
    for name, value in task.baseline.items():
        np.testing.assert_allclose(scores[name], value, rtol=0.03)
    repeated = mean_scores(task, batch.inputs_TxBxI, batch)
    reference = task.references["nmse of the input as the answer"]
    np.testing.assert_allclose(repeated["nmse"], reference, rtol=0.03)


def test_mackey_glass_sequences_start_anywhere() -> None:
    y = np.asarray(batch_of(build_task("mackey_glass"), 2000).targets)[..., 0]
    # the mean over sequences is the same at every step: 4.5 deviations of 0.226 / sqrt(2000)
    np.testing.assert_allclose(y.mean(1), y.mean(), atol=0.023)


def test_the_last_hundred_steps_run_free() -> None:
    task = build_task("mackey_glass", length_steps=130)
    batch = batch_of(task, 4)
    assert task.forced_steps == 30
    assert task.teacher is not None
    np.testing.assert_array_equal(task.teacher(batch), batch.targets)
    assert set(mean_scores(task, batch.targets, batch).values()) == {0}
    before = jnp.where(jnp.arange(130)[:, None, None] < 30, 1.0, 0.0)
    scores = mean_scores(task, batch.targets + before, batch)
    assert scores["free_nmse"] == 0
    np.testing.assert_allclose(scores["loss"], 30 / 130, rtol=1e-5)
    np.testing.assert_allclose(scores["nmse"], 30 / 130 / task.baseline["loss"], rtol=1e-5)
    hidden = build_task("mackey_glass", length_steps=130, feedback_only=True)
    assert not batch_of(hidden, 4).inputs_TxBxI.any()
    np.testing.assert_array_equal(batch_of(hidden, 4).targets, batch.targets)
    assert hidden.headline == "free_nmse"
