"""NARMA10 targets follow from the inputs; what runs off is redrawn; constants are measured."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.tasks import narma10
from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import KEY, batch_of
from tests.helpers.task_batches import mean_scores


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
