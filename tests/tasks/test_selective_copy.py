"""Selective copy asks for the symbols in order; its baseline is what timing alone scores."""

import math
from itertools import combinations

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of, certain, spread
from tests.helpers.task_batches import mean_scores


@pytest.mark.parametrize(("length", "items"), [(1, 1), (4, 4), (60, 7)])
def test_selective_copy_sequences(length: int, items: int) -> None:
    task = build_task("selective_copy", length_steps=length, items=items)
    batch = batch_of(task, 50)
    np.testing.assert_array_equal(batch.inputs_TxBxI.sum(-1), 1)
    x, targets = np.asarray(batch.inputs_TxBxI).argmax(-1), np.asarray(batch.targets)
    answers = np.full_like(targets, 8)
    for b in range(50):
        answers[-items:, b] = [symbol for symbol in x[:length, b] if symbol < 8]
    np.testing.assert_array_equal(targets, answers)
    assert (x[length] == 9).all()
    assert (x[length + 1 :] == 8).all()
    assert mean_scores(task, certain(answers, 9), batch) == {"loss": 0, "recall_accuracy": 1}


def test_selective_copy_places_are_all_as_likely() -> None:
    batch = batch_of(build_task("selective_copy", length_steps=5, items=2), 20_000)
    shown = np.asarray(batch.inputs_TxBxI[:5]).argmax(-1) < 8
    for pair in combinations(range(5), 2):
        share = shown[list(pair)].all(0).mean()
        np.testing.assert_allclose(share, 1 / 10, atol=spread(10, 20_000))


def test_the_selective_copy_baseline_is_what_timing_alone_scores() -> None:
    task = build_task("selective_copy", length_steps=20, items=4)
    batch = batch_of(task, 4000)
    blank_1xO = (jnp.arange(9) == 8)[None]
    recall_Tx1 = (jnp.arange(25) >= 21)[:, None]
    answer_TxO = jnp.where(blank_1xO == recall_Tx1, 0.0, 40.0)  # blank before, others after
    scores = mean_scores(task, jnp.broadcast_to(answer_TxO[:, None], (25, 4000, 9)), batch)
    np.testing.assert_allclose(scores["loss"], task.baseline["loss"], rtol=1e-5)
    np.testing.assert_allclose(task.baseline["loss"], 4 * math.log(8) / 25)
    np.testing.assert_allclose(scores["recall_accuracy"], 1 / 8, atol=spread(8, 16_000))
