"""Stories come as sentences and word by word; gaps make sentences older, all ways alike."""

import itertools
import math
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.types import Array, Batch
from rnnexp.tasks.base import Finite
from rnnexp.tasks.stories import story_batch, with_gaps, word_by_word
from tests.helpers.task_batches import KEY, batch_of, task_named

STORY = np.array([[[3, 1, 0], [2, 2, 4], [0, 0, 0]], [[1, 0, 0], [4, 0, 0], [5, 3, 1]]])
QUESTION = np.array([[5, 0, 0], [2, 3, 0]])


def batch() -> Batch:
    read, lengths = word_by_word(STORY, QUESTION)
    story, question, answer, read_TxB = (
        jnp.asarray(x, jnp.int32) for x in (STORY, QUESTION, np.array([4, 1]), read.T)
    )
    return story_batch(story, question, answer, read_TxB, jnp.asarray(lengths), words=6)


def test_a_story_is_read_word_by_word_and_its_question_last() -> None:
    read, lengths = word_by_word(STORY, QUESTION)
    np.testing.assert_array_equal(read, [[3, 1, 2, 2, 4, 5, 0], [1, 4, 5, 3, 1, 2, 3]])
    np.testing.assert_array_equal(lengths, [6, 7])
    got = batch()
    assert got.lengths_B is not None
    np.testing.assert_array_equal(np.asarray(got.inputs_TxBxI).argmax(-1), read.T)
    np.testing.assert_array_equal(np.asarray(got.inputs_TxBxI).sum(-1), 1)
    np.testing.assert_array_equal(got.context["story"], STORY)
    np.testing.assert_array_equal(got.context["question"], QUESTION)
    np.testing.assert_array_equal(got.context["time"], [[1, 0, 0], [2, 1, 0]])
    np.testing.assert_array_equal(got.targets, [4, 1])


@pytest.mark.parametrize("fraction", [0.5, 1.0])
def test_all_gaps_are_alike(fraction: float) -> None:
    """The chance of every pair of ages is that of the definition, enumerated."""
    draws, n = 3000, 2
    most = math.ceil(fraction * n)
    expected: Counter[tuple[int, ...]] = Counter()
    for gaps in range(most + 1):
        choices = list(itertools.combinations(range(n + gaps), n))
        for ages in choices:
            expected[ages[::-1]] += 1 / (most + 1) / len(choices)  # type: ignore[assignment]

    @jax.jit
    def drawn(key: Array) -> Array:
        keys = jax.random.split(key, draws)
        times: Array = jax.vmap(lambda k: with_gaps(k, batch(), fraction).context["time"])(keys)
        return times

    times = np.asarray(drawn(jax.random.key(5)))
    assert not times[:, 0, 2].any()  # the first story has two sentences
    found = Counter(map(tuple, times[:, 0, :2].tolist()))
    assert set(found) == set(expected)
    for ages, chance in expected.items():
        spread = 4.5 * math.sqrt(chance * (1 - chance) / draws)
        assert abs(found[ages] / draws - chance) < spread, ages
    assert (np.diff(times[:, 1], axis=1) < 0).all()
    assert times[:, 1].max() == 2 + math.ceil(fraction * 3)


def test_a_gap_changes_the_ages_alone() -> None:
    before, after = batch(), with_gaps(jax.random.key(0), batch(), 1.0)
    for name in ("story", "question"):
        np.testing.assert_array_equal(after.context[name], before.context[name])
    np.testing.assert_array_equal(after.inputs_TxBxI, before.inputs_TxBxI)
    np.testing.assert_array_equal(after.targets, before.targets)


@pytest.mark.parametrize("name", ["babi", "chained_facts"])
def test_batches_have_the_same_types_in_float64(name: str, x64: None) -> None:
    task = task_named(name)
    drawn = batch_of(task)
    if isinstance(task.train, Finite) and task.train.augment is not None:
        drawn = jax.jit(task.train.augment)(KEY, drawn)
    assert {leaf.dtype for leaf in jax.tree.leaves((drawn.context, drawn.targets))} == {
        np.dtype("int32")
    }
    assert drawn.inputs_TxBxI.dtype == np.float64
