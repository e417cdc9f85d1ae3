"""Tasks with a story, a question about it and an answer: their batches and scores.

The same story comes in two forms. A memory network gets its sentences as word numbers, in the
batch's context; a cell that reads a sequence gets them word by word, one-hot, the oldest sentence
first and the question last. Word 0 fills up and is never read. The answer is one of the words.

The context of a batch:

| leaf | is |
| --- | --- |
| `story` | (B, M, J) word numbers, the oldest sentence first |
| `question` | (B, J) word numbers |
| `time` | (B, M) the age of each sentence: 0 for the newest, 0 in the filling |
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Source, Task
from rnnexp.tasks.classification import classification_scores


def story_batch(
    story_BxMxJ: Array,
    question_BxJ: Array,
    answer_B: Array,
    read_TxB: Array,
    lengths_B: Array | None,
    words: int,
) -> Batch:
    """A batch from int32 word numbers; `read_TxB` is the story and the question word by word."""
    sentences_B = jnp.sum(story_BxMxJ[:, :, 0] > 0, 1, dtype=jnp.int32)
    place_M = jnp.arange(story_BxMxJ.shape[1], dtype=jnp.int32)
    context = {
        "story": story_BxMxJ,
        "question": question_BxJ,
        "time": jnp.maximum(sentences_B[:, None] - 1 - place_M[None, :], 0),
    }
    inputs = jax.nn.one_hot(read_TxB, words, dtype=float)
    return Batch(inputs, answer_B, lengths_B, context=context)


def with_gaps(key: Key, batch: Batch, fraction: float) -> Batch:
    """A batch of stories in which some sentences seem older than they are (random noise).

    Of a story with n sentences the ages are n of the numbers 0 ... n + g - 1, in order, all
    choices alike, with g uniform in 0 ... ceil(fraction * n): as if g empty sentences lay between
    them. Sukhbaatar et al. 2015, section 4.1, in the form of the authors' code.
    """
    story, time_BxM = batch.context["story"], batch.context["time"]
    most = story.shape[1] + math.ceil(fraction * story.shape[1])

    def ages(key: Key, story_MxJ: Array, time_M: Array) -> Array:
        key_gaps, key_slots = jax.random.split(key)
        n = jnp.sum(story_MxJ[:, 0] > 0, dtype=jnp.int32)
        most_gaps = jnp.ceil(fraction * n.astype(float) - 1e-6).astype(jnp.int32)
        gaps = jax.random.randint(key_gaps, (), 0, most_gaps + 1, dtype=jnp.int32)
        slot_W = jnp.arange(most, dtype=jnp.int32)
        drawn_W = jnp.where(slot_W < n + gaps, jax.random.uniform(key_slots, (most,)), 2.0)
        permuted_W = jnp.argsort(drawn_W).astype(jnp.int32)  # the first n + gaps among themselves
        taken_W = jnp.sort(jnp.where(permuted_W < n, slot_W, most))
        return jnp.where(story_MxJ[:, 0] > 0, taken_W[time_M], time_M)

    keys = jax.random.split(key, len(story))
    return batch._replace(context={**batch.context, "time": jax.vmap(ages)(keys, story, time_BxM)})


def word_by_word(
    story_NxMxJ: np.ndarray, question_NxJ: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The words of every story and its question in their order, (N, T), and their number (N,)."""
    every = np.concatenate([story_NxMxJ.reshape(len(story_NxMxJ), -1), question_NxJ], 1)
    order = np.argsort(every == 0, axis=1, kind="stable")
    lengths_N = np.count_nonzero(every, axis=1).astype(np.int32)
    return np.take_along_axis(every, order, 1)[:, : lengths_N.max()], lengths_N


def story_task(
    name: str,
    *,
    words: Sequence[str],
    num_steps: int,
    sources: tuple[Source, Source, Source],
    baseline: dict[str, float],
) -> Task:
    """A task of these words and of the sources train, valid and test."""
    train, valid, test = sources
    return Task(
        name=name,
        mode="story_to_answer",
        input_size=len(words),
        output_size=len(words),
        num_steps=num_steps,
        train=train,
        valid=valid,
        test=test,
        scores=classification_scores,
        baseline=baseline,
        headline="accuracy",
        higher_is_better=True,
        words=tuple(words),
    )
