"""Copy memory shows symbols, waits and recalls them; its baseline is the best without memory."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.tasks.copy_memory import BLANK, MARKER
from rnnexp.train.build import build_task
from tests.helpers.task_batches import B, batch_of, mean_scores


@pytest.mark.parametrize("delay", [1, 7, 100])
def test_copy_memory_sequences(delay: int) -> None:
    task = build_task("copy_memory", delay_steps=delay)
    batch = batch_of(task)
    symbols = np.argmax(batch.inputs_TxBxI, -1)
    assert symbols.shape == (delay + 20, B)
    np.testing.assert_array_equal(np.sum(batch.inputs_TxBxI, -1), 1)
    assert symbols[:10].max() < 8
    assert (symbols[10 : 9 + delay] == BLANK).all()
    assert (symbols[9 + delay] == MARKER).all()
    assert (symbols[10 + delay :] == BLANK).all()
    np.testing.assert_array_equal(batch.targets[-10:], symbols[:10])
    assert bool(jnp.all(batch.targets[:-10] == BLANK))


@pytest.mark.parametrize("delay", [20, 100])
def test_the_copy_baseline_is_what_the_best_memoryless_answer_scores(delay: int) -> None:
    task = build_task("copy_memory", delay_steps=delay)
    batch = batch_of(task, size=2000)
    blank = jnp.where(jnp.arange(9) == BLANK, 40.0, 0.0)
    guess = jnp.where(jnp.arange(9) == BLANK, -40.0, 0.0)
    recall = jnp.arange(delay + 20) >= delay + 10
    answer = jnp.where(recall[:, None], guess[None], blank[None])
    outputs = jnp.broadcast_to(answer[:, None], (delay + 20, 2000, 9))
    scores = mean_scores(task, outputs, batch)
    np.testing.assert_allclose(scores["loss"], task.baseline["loss"], rtol=1e-5)
    np.testing.assert_allclose(task.baseline["loss"], 10 * math.log(8) / (delay + 20))
    # always the same symbol: 1/8 of 20,000 draws, deviation 0.0023
    np.testing.assert_allclose(scores["recall_accuracy"], 1 / 8, atol=0.012)
