"""Priority sort asks for the vectors of the highest priorities in their order."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of, spread
from tests.helpers.task_batches import mean_scores


@pytest.mark.parametrize(("vectors", "highest"), [(20, 16), (1, 1), (5, 5), (7, 2)])
def test_sequences(vectors: int, highest: int) -> None:
    task = build_task("priority_sort", vectors=vectors, highest=highest)
    batch = batch_of(task, 50)
    x, y = np.asarray(batch.inputs_TxBxI), np.asarray(batch.targets)
    assert (batch.lengths_B, x.shape) == (None, (vectors + 1 + highest, 50, 10))
    assert x[vectors].tolist() == [[0.0] * 9 + [1.0]] * 50
    assert not x[vectors + 1 :].any()
    assert not x[:vectors, :, 9].any()
    for b in range(50):
        rows = sorted(x[:vectors, b].tolist(), key=lambda row: -row[8])
        assert y[vectors + 1 :, b].tolist() == [row[:8] for row in rows[:highest]]


def test_priorities_are_uniform_between_minus_one_and_one() -> None:
    priority = np.asarray(batch_of(build_task("priority_sort"), 1000).inputs_TxBxI)[:20, :, 8]
    assert -1 <= priority.min() < -0.999 < 0.999 < priority.max() <= 1
    np.testing.assert_allclose(priority.mean(), 0, atol=0.02)
    np.testing.assert_allclose(priority.var(), 1 / 3, atol=0.01)


def test_without_memory_an_answer_has_128_bits() -> None:
    task = build_task("priority_sort")
    assert task.baseline["loss"] == pytest.approx(16 * 8 * math.log(2))
    batch = batch_of(task, 500)
    scores = mean_scores(task, jnp.zeros(batch.targets.shape), batch)
    np.testing.assert_allclose(scores["loss"], task.baseline["loss"], rtol=1e-5)
    np.testing.assert_allclose(scores["error_rate"], 0.5, atol=spread(2, 64_000))
    np.testing.assert_allclose(scores["wrong_bits"], 64, rtol=0.01)
