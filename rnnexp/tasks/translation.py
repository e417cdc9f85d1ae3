"""Translation: read a sentence word by word, write another.

    input   4 7 1
    target  four hundred seventy one <eos>

Without a file the pairs are numbers in digits and in English words (`rnnexp.data.number_words`);
with `path`, those of a file of the user's. Sutskever, Vinyals & Le 2014, "Sequence to sequence
learning with neural networks"; with attention, Bahdanau, Cho & Bengio 2015, "Neural machine
translation by jointly learning to align and translate".

Both sides have a vocabulary by frequency, counted on the training part. Class 0 of the source is
`<unk>`, any word that the vocabulary does not have; of the target it is `<eos>`, the stop symbol,
and `<unk>` is class 1.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.seeds import require_seed
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.data.kneser_ney import kneser_ney_losses
from rnnexp.data.number_words import MOST_DIGITS, draw_numbers, number_words
from rnnexp.data.sentence_pairs import (
    PARTS,
    Pair,
    longest_words,
    read_pairs,
    require_parts,
    split_pairs,
)
from rnnexp.data.words import LINE_END, encode_words, require_vocabulary, word_vocabulary
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.transduction import STOP, scores

log = logging.getLogger("rnnexp")
MOST_GRAM = 4
LEAST_EXAMPLES = 100
"""Of drawn pairs, so that each part has some."""


class Vocabularies(NamedTuple):
    """The words of both sides by their classes."""

    source: tuple[str, ...]
    target: tuple[str, ...]


def translation(
    *,
    path: str = "",
    digits: int = 6,
    examples: int = 20_000,
    data_seed: int = 0,
    vocabulary: int = 2_000,
    least_count: int = 1,
    lower: bool = True,
    marks: bool = True,
    longest: int = 30,
    valid_fraction: float = 0.1,
    test_fraction: float = 0.1,
) -> Task:
    """Write the translation of a sentence: of a number in digits its English words, or of a file.

    The SHA-256 of a source decides the part of its pair, so no source of validation or test occurs
    in training. Without a test part (test_fraction 0) the test source is the validation source,
    and the test score is not independent: it is the best of many validations.

    Baseline, without reading: the loss of the interpolated Kneser-Ney 4-gram of targets, counted on
    the training part and scored on the test source, and how often the most frequent target of
    training is right there. References are the fractions of unknown words in the test source, and
    the number of pairs that were left out as too long.

    Args:
      path: a UTF-8 file with a source, a tab and a target a line; "": drawn numbers.
      digits: without a path, the largest number of digits of a number.
      examples: without a path, how many numbers are drawn for all parts together; one that was
        drawn before is left out.
      data_seed: without a path, the seed of the numbers.
      vocabulary: of each side the most frequent words that have a class of their own, with
        `<unk>`; 0: all.
      least_count: how often a word must occur in the training part to have a class.
      lower: capitals are read as small letters.
      marks: a punctuation mark is a word; False: words are what spaces divide.
      longest: words that a source or a target may have; pairs with more are left out.
      valid_fraction: fraction of the sources that are for validation.
      test_fraction: fraction of the sources that are for the test; 0: none.

    Raises `UsageError` if the file or an option is unsuitable.
    """
    require_at_least(1, longest=longest, least_count=least_count)
    require_vocabulary(vocabulary)
    file = Path(path).expanduser()
    given = (
        read_pairs(file, lower=lower, marks=marks)
        if path
        else pairs_of_numbers(digits, examples, data_seed)
    )
    of = str(file) if path else "the drawn numbers"
    pairs = short_pairs(given, longest, of)
    parts = split_pairs(pairs, valid_fraction, test_fraction)
    require_parts(parts, PARTS if test_fraction else PARTS[:2], of)
    words = vocabularies(parts["train"], vocabulary, least_count)
    num_steps = max(len(pair.source) for pair in pairs)
    target_steps = max(len(pair.target) for pair in pairs) + 1
    sources = {
        part: source(parts[part], words, num_steps, target_steps) for part in PARTS if parts[part]
    }
    scored = parts["test"] or parts["valid"]
    left_out = len(given) - len(pairs)
    return Task(
        name="translation",
        mode="asynchronous",
        input_size=len(words.source),
        output_size=len(words.target),
        num_steps=num_steps,
        train=sources["train"],
        valid=sources["valid"],
        test=sources.get("test", sources["valid"]),
        scores=scores,
        baseline=blind_baseline(parts["train"], scored, words.target),
        headline="exact",
        higher_is_better=True,
        references={
            **unknown_words(scored, words),
            **({f"pairs of more than {longest} words, left out": left_out} if left_out else {}),
        },
        target_steps=target_steps,
        words=words.source,
        output_words=words.target,
    )


def pairs_of_numbers(digits: int, examples: int, data_seed: int) -> list[Pair]:
    """Drawn numbers, each once, in digits and in words."""
    require_at_least(1, digits=digits)
    require_at_least(LEAST_EXAMPLES, examples=examples)
    if digits > MOST_DIGITS:
        raise UsageError(f"digits must be 1 to {MOST_DIGITS}, not {digits}")
    require_seed("data_seed", data_seed)
    numbers = draw_numbers(np.random.default_rng(data_seed), examples, digits)
    distinct = dict.fromkeys(numbers)  # else numbers of one digit would be most of a test
    return [Pair(tuple(str(number)), tuple(number_words(number))) for number in distinct]


def short_pairs(pairs: Sequence[Pair], longest: int, of: str) -> list[Pair]:
    """The pairs of which no side has more than `longest` words; the others are logged.

    Raises `UsageError` if none is left.
    """
    kept = [pair for pair in pairs if longest_words(pair) <= longest]
    others = [pair for pair in pairs if longest_words(pair) > longest]
    if others:
        first = f", first in line {others[0].line}" if others[0].line else ""
        log.warning(
            "%s: %d of %d pairs have a side of more than %d words (config.task.longest)%s; the "
            "longest has %d. They are left out",
            of, len(others), len(pairs), longest, first, max(map(longest_words, others)),
        )  # fmt: skip
    if not kept:
        raise UsageError(
            f"longest: each of the {len(pairs):,} pairs of {of} has a side of more than {longest} "
            "words; choose a larger longest"
        )
    return kept


def vocabularies(train: Sequence[Pair], most: int, least_count: int) -> Vocabularies:
    """The words of both sides of a training part; the targets' begin with the stop symbol."""
    by_side = [
        word_vocabulary((word for words in side for word in words), most=most,
                        least_count=least_count)
        for side in ([pair.source for pair in train], [pair.target for pair in train])
    ]  # fmt: skip
    return Vocabularies(by_side[0], (LINE_END, *by_side[1]))


def encode_target(words: Sequence[str], vocabulary: Sequence[str]) -> np.ndarray:
    """The classes of a target and the stop symbol, (U,) int32; `vocabulary` begins with that."""
    return np.append(encode_words(words, vocabulary[1:]) + 1, STOP).astype(np.int32)


def source(pairs: Sequence[Pair], words: Vocabularies, num_steps: int, target_steps: int) -> Finite:
    """The source of a part, padded to the longest pair of all parts."""
    inputs = [encode_words(pair.source, words.source) for pair in pairs]
    targets = [encode_target(pair.target, words.target) for pair in pairs]
    arrays = tuple(
        jnp.asarray(array)
        for codes, steps in ((inputs, num_steps), (targets, target_steps))
        for array in (padded(codes, steps), np.array([*map(len, codes)], np.int32))
    )
    return Finite(arrays, len(pairs), take)


def padded(codes: Sequence[np.ndarray], steps: int) -> np.ndarray:
    """Sequences of classes, (N, T) int32, with 0 after each."""
    classes_NxT = np.zeros((len(codes), steps), np.int32)
    for row, code in zip(classes_NxT, codes, strict=True):
        row[: len(code)] = code
    return classes_NxT


def take(arrays: Tree, indices_B: Array) -> Batch:
    """The batch of those indices: classes of words, and lengths of both sides."""
    input_NxT, lengths_N, target_NxU, target_lengths_N = arrays
    return Batch(
        input_NxT[indices_B].T, target_NxU[indices_B].T, lengths_N[indices_B],
        target_lengths_N[indices_B],
    )  # fmt: skip


def blind_baseline(
    train: Sequence[Pair], test: Sequence[Pair], vocabulary: Sequence[str]
) -> dict[str, float]:
    """Scores on `test` of a writer that knows the targets of `train` and reads nothing."""
    before = np.zeros(MOST_GRAM - 1, np.int32)  # stops, so that every symbol has a context
    streams = [
        np.concatenate([before, *(encode_target(pair.target, vocabulary) for pair in part)])
        for part in (train, test)
    ]
    loss = kneser_ney_losses(streams[0], streams[1], len(vocabulary), most=MOST_GRAM)[-1]
    codes = [tuple(encode_target(pair.target, vocabulary).tolist()) for pair in test]
    counts: dict[tuple[int, ...], int] = {}
    for pair in train:
        answer = tuple(encode_target(pair.target, vocabulary).tolist())
        counts[answer] = counts.get(answer, 0) + 1
    likeliest = max(counts, key=lambda answer: counts[answer])
    return {"loss": loss, "exact": codes.count(likeliest) / len(codes)}


def unknown_words(pairs: Sequence[Pair], words: Vocabularies) -> dict[str, float]:
    """The fraction of words of both sides that their vocabulary does not have."""
    sides = {"source": [pair.source for pair in pairs], "target": [pair.target for pair in pairs]}
    found = {}
    for name, side in sides.items():
        known = set(getattr(words, name))
        every = [word not in known for sentence in side for word in sentence]
        found[f"unknown words of the {name}"] = float(np.mean(every))
    return found
