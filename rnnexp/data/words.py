"""Texts as sequences of words, and their vocabulary by frequency.

A word that the vocabulary does not have is read as `UNKNOWN`, class 0, which is a class like any
other: it occurs, is predicted and is scored.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rnnexp.core.errors import UsageError

UNKNOWN = "<unk>"
LINE_END = "<eos>"
OWN_LETTERS = re.compile(r"<\w+>|\w+(?:['\u2019]\w+)*|[^\w\s]")
"""A name in angle brackets, letters and digits (with apostrophes among them), or one mark."""


def split_words(
    text: str, *, lower: bool = True, marks: bool = True, line_ends: bool = False
) -> list[str]:
    """The words of a text in their order.

    Args:
      lower: capitals become small letters.
      marks: a punctuation mark is a word of its own; else words are what spaces divide.
      line_ends: the end of a line is the word `LINE_END`; else it is a space.
    """
    if lower:
        text = text.lower()
    lines = text.splitlines() if line_ends else [text]
    words: list[str] = []
    for line in lines:
        words += OWN_LETTERS.findall(line) if marks else line.split()
        words += [LINE_END] * line_ends
    return words


def require_vocabulary(vocabulary: int) -> None:
    """Raise `UsageError` for a number of words that is neither 0 (all) nor at least 2."""
    if vocabulary < 0 or vocabulary == 1:
        raise UsageError(f"vocabulary must be 0 (all words) or at least 2, not {vocabulary}")


def word_vocabulary(
    words: Iterable[str], *, most: int = 0, least_count: int = 1
) -> tuple[str, ...]:
    """`UNKNOWN`, then the words by frequency, those of one frequency by the alphabet.

    Args:
      most: classes at most, `UNKNOWN` included; 0: any number.
      least_count: occurrences that a word must have.

    Raises `UsageError` if no word is left.
    """
    counts = Counter(words)
    counts.pop(UNKNOWN, None)
    kept = [word for word, count in counts.items() if count >= least_count]
    kept.sort(key=lambda word: (-counts[word], word))
    if not kept:
        raise UsageError(
            f"no word occurs {least_count} times or more in the training part; choose a smaller "
            "least_count"
        )
    return (UNKNOWN, *kept[: most - 1 if most else None])


def encode_words(words: Sequence[str], vocabulary: Sequence[str]) -> np.ndarray:
    """The class of every word, int32; 0 for a word that the vocabulary does not have."""
    classes: Mapping[str, int] = {word: number for number, word in enumerate(vocabulary)}
    return np.array([classes.get(word, 0) for word in words], np.int32)


def join_words(words: Iterable[str]) -> str:
    """A text of words with spaces between them; `LINE_END` ends a line."""
    text = " ".join(words)
    return (
        text.replace(f" {LINE_END} ", "\n")
        .replace(f"{LINE_END} ", "\n")
        .replace(f" {LINE_END}", "\n")
    )
