"""Mackey-Glass and NARMA10 against independent integrations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.tasks import mackey_glass, narma10
from rnnexp.train.plan import build_task
from tests.tasks.test_synthetic_tasks import KEY, batch_of, mean_scores


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


def narma(u_TxB: np.ndarray) -> np.ndarray:
    """The outputs y_1 ... y_T of NARMA10, term by term."""
    y = [np.zeros(u_TxB.shape[1], u_TxB.dtype)]
    for t, u in enumerate(u_TxB):
        total = sum(y[t - i] for i in range(10) if t - i >= 0)
        delayed = u_TxB[t - 9] if t >= 9 else 0
        y.append(0.3 * y[t] + 0.05 * y[t] * total + 1.5 * delayed * u + 0.1)
    return np.array(y[1:])


def test_narma10_targets_follow_from_the_inputs(x64: None) -> None:
    task = build_task("narma10", length_steps=120)
    batch = batch_of(task, 20)
    u = np.asarray(batch.inputs_TxBxI)[..., 0]
    np.testing.assert_allclose(batch.targets[..., 0], narma(u), rtol=1e-12)
    assert set(mean_scores(task, batch.targets, batch).values()) == {0}
    assert task.teacher is not None
    np.testing.assert_array_equal(task.teacher(batch), batch.targets)


def test_narma10_redraws_what_runs_off_and_nothing_else() -> None:
    task = build_task("narma10", length_steps=400)
    batch = batch_of(task, 4000)
    assert float(batch.targets.max()) <= 1
    _, first = jax.random.split(KEY)
    u = np.asarray(jax.random.uniform(first, (400, 4000), maxval=0.5))
    with np.errstate(over="ignore", invalid="ignore"):
        kept = (narma(u) <= 1).all(0)
    assert 0.001 < 1 - kept.mean() < 0.015  # about 0.6% of 400 steps
    same = (np.asarray(batch.inputs_TxBxI)[..., 0] == u).all(0)
    np.testing.assert_array_equal(same, kept)


def test_narma10_constants_and_baseline() -> None:
    task = build_task("narma10")
    batch = batch_of(task, 20_000)
    y = np.asarray(batch.targets, np.float64)[50:]
    # means over 150 steps correlated over about 10: 20,000 sequences leave under 0.0003
    np.testing.assert_allclose(y.mean(), narma10.MEAN, atol=1e-3)
    np.testing.assert_allclose(y.var(), narma10.VARIANCE, rtol=0.01)
    mean = mean_scores(task, jnp.full_like(batch.targets, narma10.MEAN), batch)
    np.testing.assert_allclose(mean["nmse"], 1, rtol=0.01)
    best = narma10.MEAN + 0.375 * (batch.inputs_TxBxI - 0.25)
    scores = mean_scores(task, best, batch)
    for name, value in task.baseline.items():
        np.testing.assert_allclose(scores[name], value, rtol=0.01)
    # no cubic of the last input is better
    u = np.asarray(batch.inputs_TxBxI, np.float64)[50:].ravel()
    fitted = np.polyval(np.polyfit(u, y.ravel(), 3), u)
    np.testing.assert_allclose(((fitted - y.ravel()) ** 2).mean(), scores["loss"], rtol=2e-3)


def test_narma10_does_not_score_the_warmup() -> None:
    task = build_task("narma10", length_steps=60)
    batch = batch_of(task, 3)
    warmup = jnp.where(jnp.arange(60)[:, None, None] < 50, jnp.inf, 0.0)
    assert set(mean_scores(task, batch.targets + warmup, batch).values()) == {0}
