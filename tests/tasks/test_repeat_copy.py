"""Repeat copy asks for as many copies as it says, and an end; its baseline is a constant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Array
from rnnexp.tasks.bit_vectors import answer_steps
from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of
from tests.helpers.task_batches import mean_scores


def test_sequences() -> None:
    task = build_task("repeat_copy", bits=3, shortest=2, longest=4, fewest=1, most=5)
    batch = batch_of(task, 400)
    assert batch.lengths_B is not None
    x, y, seen = np.asarray(batch.inputs_TxBxI), np.asarray(batch.targets), set()
    for b, steps in enumerate(np.asarray(batch.lengths_B)):
        length = int(np.flatnonzero(x[:steps, b, 4])[0])
        repeats = (steps - length - 2) // length
        seen.add((length, int(repeats)))
        assert not x[:length, b, 3:].any()
        np.testing.assert_allclose(x[length, b, 3], (repeats - 3) / np.sqrt(2), rtol=1e-6)
        assert not x[length + 1 : steps, b].any()
        copies = np.tile(x[:length, b, :3], (repeats, 1))
        np.testing.assert_array_equal(y[length + 1 : steps - 1, b, :3], copies)
        assert not y[: steps - 1, b, 3].any()
        assert y[steps - 1, b].tolist() == [0, 0, 0, 1]
    assert seen == {(length, repeats) for length in (2, 3, 4) for repeats in range(1, 6)}


def test_a_test_of_other_repeats_shows_them_on_the_scale_of_training() -> None:
    task = build_task("repeat_copy")
    assert task.lengths is not None
    batch = batch_of(task.lengths.at(20), 10)
    shown = np.asarray(batch.inputs_TxBxI)[..., 8]
    np.testing.assert_allclose(shown.max(0), (20 - 5.5) / np.sqrt(99 / 12), rtol=1e-6)
    one = build_task("repeat_copy", fewest=3, most=3)
    assert not np.asarray(batch_of(one, 10).inputs_TxBxI)[..., 8].any()


def test_the_baseline_is_the_best_constant_answer() -> None:
    task = build_task("repeat_copy", bits=4, longest=3, most=2)
    batch = batch_of(task, 8000)
    share = np.asarray(batch.targets)[np.asarray(answer_steps(batch))].mean(0)
    best = jnp.asarray(np.log(share / (1 - share)))

    def loss(logits_O: Array) -> Array:
        outputs = jnp.broadcast_to(logits_O, batch.targets.shape)
        return task.scores(outputs, batch)["loss"].mean()

    assert float(jnp.max(jnp.abs(jax.grad(loss)(best)))) < 1e-3  # nothing is better
    np.testing.assert_allclose(loss(best), task.baseline["loss"], rtol=0.03)
    scores = mean_scores(task, jnp.broadcast_to(best, batch.targets.shape), batch)
    for name in ("wrong_bits", "error_rate"):
        np.testing.assert_allclose(scores[name], task.baseline[name], rtol=0.03)


def test_a_single_copy_of_one_vector_has_a_baseline() -> None:
    task = build_task("repeat_copy", bits=1, longest=1, most=1)
    p = 1 / 4  # of a bit: even in one of two steps; the end is in one of two
    bit = -p * np.log(p) - (1 - p) * np.log(1 - p)
    expected = {"loss": 2 * (bit + np.log(2)), "wrong_bits": 1.5, "error_rate": 1.5 / 4}
    assert task.baseline == pytest.approx(expected)
