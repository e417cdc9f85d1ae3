"""Answers of bits: what is scored, and how; the tasks' own tests have their sequences."""

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.tasks.bit_vectors import (
    answer_scores,
    answer_steps,
    draw_counts,
    draw_vectors,
    even_baseline,
    placed,
)
from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import KEY, batch_of
from tests.helpers.task_batches import mean_scores

TASKS = ("ntm_copy", "repeat_copy", "item_recall", "priority_sort")


def test_the_answer_is_what_comes_after_the_last_flag_and_before_the_padding() -> None:
    flags_BxT = [[0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]
    inputs = jnp.asarray(flags_BxT, float).T[..., None]
    batch = Batch(inputs, jnp.zeros((6, 3, 1)), jnp.array([6, 4, 2], jnp.int32))
    expected = [[0, 0, 0, 0, 1, 1], [0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]
    np.testing.assert_array_equal(answer_steps(batch).T.astype(int), expected)


def test_scores_are_those_of_the_answer_summed_by_hand() -> None:
    random = np.random.default_rng(0)
    logits, bits = random.normal(size=(5, 3, 2)), random.integers(0, 2, (5, 3, 2))
    answer = random.integers(0, 2, (5, 3)).astype(bool)
    scores = answer_scores(jnp.array(logits), jnp.array(bits, float), jnp.array(answer))
    for b in range(3):
        loss, wrong, count = 0.0, 0, 0
        for t in range(5):
            for o in range(2):
                if answer[t, b]:
                    right = 1 / (1 + np.exp(-logits[t, b, o] * (1 if bits[t, b, o] else -1)))
                    loss, count = loss - np.log(right), count + 1
                    wrong += right < 0.5
        np.testing.assert_allclose(scores["loss"].total_B[b], loss, rtol=1e-5)
        assert float(scores["wrong_bits"].total_B[b]) == wrong
        assert float(scores["error_rate"].total_B[b]) == wrong
        assert float(scores["error_rate"].count_B[b]) == count
    assert scores["loss"].count_B.tolist() == scores["wrong_bits"].count_B.tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", TASKS)
def test_the_truth_has_no_loss_whatever_is_said_elsewhere(name: str) -> None:
    task = build_task(name)
    batch = batch_of(task, 20)
    truth = jnp.where(batch.targets > 0.5, 200.0, -200.0)
    answer = answer_steps(batch)[..., None]
    other = jnp.where(answer, truth, -truth)
    assert mean_scores(task, other, batch) == {"loss": 0, "wrong_bits": 0, "error_rate": 0}
    assert mean_scores(task, jnp.where(answer, -truth, truth), batch)["error_rate"] == 1
    assert float(jnp.max(jnp.where(answer, 0.0, jnp.abs(batch.targets)))) == 0


def test_counts_and_bits_are_uniform() -> None:
    counts_B = np.asarray(draw_counts(KEY, 20_000, 2, 4))
    shares = [float(np.mean(counts_B == n)) for n in (2, 3, 4)]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.015)  # 4.5 standard deviations
    bits = np.asarray(draw_vectors(KEY, 100, 20, 10))
    assert set(np.unique(bits)) == {0.0, 1.0}
    np.testing.assert_allclose(bits.mean(), 0.5, atol=0.016)


def test_vectors_are_put_where_they_are_asked_for() -> None:
    vectors = jnp.arange(1.0, 7.0).reshape(3, 2, 1)  # (L, B, 1)
    index = jnp.array([[2, 0], [-1, 5], [1, 1]], jnp.int32)
    there = jnp.array([[True, False], [False, True], [True, True]])
    assert placed(vectors, index, there)[..., 0].tolist() == [[5, 0], [0, 6], [3, 4]]


def test_even_bits_have_half_of_them_wrong() -> None:
    assert even_baseline(10) == {"loss": 10 * np.log(2), "wrong_bits": 5, "error_rate": 0.5}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ntm_copy", {"bits": 0}, "bits must be at least 1, not 0"),
        ("ntm_copy", {"shortest": 0}, "shortest must be at least 1, not 0"),
        ("ntm_copy", {"shortest": 21}, "longest must be at least shortest = 21, not 20"),
        ("repeat_copy", {"bits": -1}, "bits must be at least 1"),
        ("repeat_copy", {"longest": 0}, "longest must be at least shortest = 1, not 0"),
        ("repeat_copy", {"fewest": 0}, "fewest must be at least 1, not 0"),
        ("repeat_copy", {"fewest": 11}, "most must be at least fewest = 11, not 10"),
        ("item_recall", {"fewest": 1}, "fewest must be at least 2, not 1"),
        ("item_recall", {"most": 1}, "most must be at least fewest = 2, not 1"),
        ("item_recall", {"item_vectors": 0}, "item_vectors must be at least 1, not 0"),
        ("item_recall", {"bits": 0}, "bits must be at least 1"),
        ("priority_sort", {"highest": 0}, "highest must be at least 1, not 0"),
        ("priority_sort", {"vectors": 15}, r"vectors must be at least 16 \(highest\), not 15"),
        ("priority_sort", {"bits": 0}, "bits must be at least 1"),
    ],
)
def test_bad_options(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_task(name, None, **options)
