"""bAbI: questions about short stories, of twenty kinds; real files.

Weston et al. 2015 (see `rnnexp.data.babi`); as a task for networks that are told only the answer:
Sukhbaatar, Szlam, Weston & Fergus 2015, "End-to-end memory networks", section 4. Of the 1,000
training questions of each kind the last tenth is for validation. The vocabulary is that of all
questions used, and the answer one of its words, as in the authors' code.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Batch, Key, Tree
from rnnexp.data.babi import Stories, encode, load, longest_sentence, task_numbers, vocabulary
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.stories import story_batch, story_task, with_gaps, word_by_word

VALID_FRACTION = 0.1
PRIOR_COUNT = 0.5
"""Added to the count of every answer in the baseline (Jeffreys' prior): some occur in the test
part alone."""


def babi(
    *,
    number: str = "1",
    max_sentences: int = 50,
    gap_fraction: float = 0.1,
    data_dir: Path | None = None,
) -> Task:
    """Answer questions of one kind, or of several kinds together.

    The baseline is the most frequent answer of the training part, and the cross-entropy of its
    answers' frequencies.

    Args:
      number: 1 to 20; "1-3,15" or "all" train one network on several kinds.
      max_sentences: the last sentences of a story, which are all that is read.
      gap_fraction: of a memory network's training, empty sentences that may lie between those of
        a story, as a fraction of these; 0: none.

    Raises `UsageError` for an unknown number or a bad option, and if a file is missing or damaged.
    """
    numbers = task_numbers(number)
    require_at_least(1, max_sentences=max_sentences)
    if not 0 <= gap_fraction <= 1:
        raise UsageError(f"gap_fraction must lie between 0 and 1, not {gap_fraction}")
    parts = load(numbers, data_dir)
    asked = {n: parts["train"][n] + parts["test"][n] for n in numbers}
    every = [question for questions in asked.values() for question in questions]
    words = vocabulary(every)
    stories = encode(
        asked, words, sentence_words=longest_sentence(every), max_sentences=max_sentences
    )
    split_N = np.concatenate([_splits(len(parts["train"][n]), len(asked[n])) for n in numbers])
    return stories_task(stories, split_N, words, gap_fraction)


def _splits(training: int, total: int) -> np.ndarray:
    """The split of each question of a kind: 0 training, 1 validation, 2 test."""
    place_N = np.arange(total)
    first_valid = training - math.floor(VALID_FRACTION * training)
    return (place_N >= first_valid).astype(int) + (place_N >= training)


def stories_task(
    stories: Stories, split_N: np.ndarray, words: Sequence[str], gap_fraction: float
) -> Task:
    """The task of stories of which each is in the split 0, 1 or 2."""
    read_NxT, lengths_N = word_by_word(stories.story_NxMxJ, stories.question_NxJ)
    small = np.min_scalar_type(len(words) - 1)
    arrays = (
        stories.story_NxMxJ.astype(small), stories.question_NxJ.astype(small), stories.answer_N,
        read_NxT.astype(small), lengths_N,
    )  # fmt: skip

    def take(arrays: Tree, indices_B: Array) -> Batch:
        story, question, answer, read, lengths = (
            leaf[indices_B].astype(jnp.int32) for leaf in arrays
        )
        return story_batch(story, question, answer, read.T, lengths, len(words))

    def augment(key: Key, batch: Batch) -> Batch:
        return with_gaps(key, batch, gap_fraction)

    def source(split: int) -> Finite:
        held = tuple(jnp.asarray(leaf[split_N == split]) for leaf in arrays)
        varied = augment if split == 0 and gap_fraction else None
        return Finite(held, len(held[0]), take, augment=varied)

    return story_task(
        "babi",
        words=words,
        num_steps=read_NxT.shape[1],
        sources=(source(0), source(1), source(2)),
        baseline=frequency_baseline(stories.answer_N[split_N == 0], stories.answer_N[split_N == 2]),
    )


def frequency_baseline(train_N: np.ndarray, test_N: np.ndarray) -> dict[str, float]:
    """Scores on the test answers of the frequencies of the training answers."""
    known = np.union1d(train_N, test_N)
    counts = np.array([np.sum(train_N == answer) + PRIOR_COUNT for answer in known])
    chances = counts / counts.sum()
    place_N = np.searchsorted(known, test_N)
    return {
        "loss": float(-np.mean(np.log(chances[place_N]))),
        "accuracy": float(np.mean(place_N == np.argmax(counts))),
    }
