"""bAbI's batches hold the questions of its files; the last tenth of training is for validation."""

import math
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data import babi as data
from rnnexp.tasks import babi as tasks
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.batches import training_batch
from tests.helpers.data_files import DATA, data_or_skip


def finite(source: object) -> Finite:
    assert isinstance(source, Finite)
    return source


def shown(task: Task, split: str, index: int) -> tuple[list[str], list[str], str]:
    """The sentences of a question's story, its words as they are read, and its answer."""
    source, words = finite(getattr(task, split)), task.words or ()
    batch = source.take(source.arrays, jnp.array([index], jnp.int32))
    assert batch.lengths_B is not None
    story = [" ".join(words[w] for w in row if w) for row in batch.context["story"][0].tolist()]
    read = np.asarray(batch.inputs_TxBxI[: int(batch.lengths_B[0]), 0]).argmax(-1)
    return [s for s in story if s], [words[w] for w in read], words[int(batch.targets[0])]


@pytest.mark.parametrize("number", ["2", "15,19"])
def test_every_split_has_its_questions(number: str) -> None:
    data_dir = data_or_skip(DATA["babi"])
    task = tasks.babi(number=number, data_dir=data_dir)
    numbers = data.task_numbers(number)
    parts = data.load(numbers, data_dir)
    for split, part, low, high in (
        ("train", "train", 0, 900), ("valid", "train", 900, 1000), ("test", "test", 0, 1000)
    ):  # fmt: skip
        expected = [q for n in numbers for q in parts[part][n][low:high]]
        assert finite(getattr(task, split)).size == len(expected)
        for index in (0, 99, len(expected) - 1):
            question = expected[index]
            sentences = [" ".join(sentence) for sentence in question.story[-50:]]
            read = " ".join([*sentences, *question.words]).split()
            assert shown(task, split, index) == (sentences, read, question.answer)
    answers = Counter(q.answer for n in numbers for q in parts["train"][n][:900])
    test = [q.answer for n in numbers for q in parts["test"][n]]
    total = sum(answers.values()) + len({*answers, *test}) / 2
    loss = -sum(math.log((answers[answer] + 0.5) / total) for answer in test) / len(test)
    np.testing.assert_allclose(task.baseline["loss"], loss, rtol=1e-12)
    most = min(answers, key=lambda word: (-answers[word], word))
    assert task.baseline["accuracy"] == test.count(most) / len(test)


def small(gap_fraction: float) -> Task:
    """Ten questions about stories of one to ten sentences, alternately for each split."""
    story = tuple((f"word{n}", "is", "here") for n in range(10))
    asked = [data.Question(story[: n + 1], ("where",), f"word{n}", (n,)) for n in range(10)]
    words = data.vocabulary(asked)
    stories = data.encode({1: asked}, words, sentence_words=3, max_sentences=6)
    return tasks.stories_task(stories, np.arange(10) % 3, words, gap_fraction)


def test_ages_have_gaps_in_training_alone() -> None:
    task = small(0.5)
    train, order = finite(task.train), jnp.arange(4, dtype=jnp.int32)
    plain = train.take(train.arrays, order)
    batches = [
        jax.jit(
            lambda step: training_batch(train, train.arrays, order, jax.random.key(0), step, 4)
        )(jnp.array(step))
        for step in (0, 1, 0)
    ]
    times = [batch.context["time"] for batch in batches]
    np.testing.assert_array_equal(times[0], times[2])
    assert np.any(times[0] != times[1])
    assert all(np.all(time >= plain.context["time"]) for time in times)
    np.testing.assert_array_equal(batches[0].context["story"], plain.context["story"])
    assert finite(task.valid).augment is None
    assert finite(small(0.0).train).augment is None


def test_the_last_sentences_are_kept() -> None:
    assert shown(small(0.0), "train", 3) == (  # question 9 of 0, 3, 6, 9
        [f"word{n} is here" for n in range(4, 10)],
        [*" ".join(f"word{n} is here" for n in range(4, 10)).split(), "where"],
        "word9",
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"number": "21"}, "unknown bAbI task '21'"),
        ({"number": "one"}, "number must be a bAbI task from 1 to 20"),
        ({"max_sentences": 0}, "max_sentences must be at least 1, not 0"),
        ({"gap_fraction": 1.5}, "gap_fraction must lie between 0 and 1, not 1.5"),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        tasks.babi(**options, data_dir=Path("nowhere"))  # type: ignore[arg-type]
