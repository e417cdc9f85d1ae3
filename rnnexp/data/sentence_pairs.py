"""Pairs of sentences: a file of them, and their parts for training, validation and test.

A file has a pair a line, the source, a tab, and the target, in UTF-8.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rnnexp.core.errors import UsageError
from rnnexp.data.text import read_text, split_ends
from rnnexp.data.words import LINE_END, split_words

PARTS = ("train", "valid", "test")
HASHES = 2**32
"""How many values the number has that decides the part of a pair."""
SHOWN = 40
"""Characters of a line that an error quotes."""


class Pair(NamedTuple):
    """The words of a source and of its target, and the line of the file they come from."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    line: int = 0


def read_pairs(path: Path, *, lower: bool, marks: bool) -> list[Pair]:
    """The pairs of a file, divided into words as `split_words` does.

    Raises `UsageError`, with the number of the line, for a line without a tab or with several, for
    a side without words, and for the word `<eos>`, which ends what a network writes.
    """
    pairs = []
    for number, line in enumerate(read_text(path).removesuffix("\n").split("\n"), 1):
        where = f"{path}, line {number}"
        sides = line.removesuffix("\r").split("\t")
        if len(sides) != 2:
            tabs = "no tab" if len(sides) == 1 else f"{len(sides) - 1} tabs"
            shown = repr(line[:SHOWN]) + "..." * (len(line) > SHOWN)
            raise UsageError(
                f"{where}: expected a source, one tab and a target, but there is {tabs} in {shown}"
            )
        divided = [tuple(split_words(side, lower=lower, marks=marks)) for side in sides]
        for name, words in zip(("source", "target"), divided, strict=True):
            if not words:
                raise UsageError(f"{where}: the {name} has no word")
            if LINE_END in words:
                raise UsageError(
                    f"{where}: the {name} has the word {LINE_END}, by which a network ends what "
                    "it writes; take it out"
                )
        pairs.append(Pair(divided[0], divided[1], number))
    return pairs


def split_pairs(
    pairs: Iterable[Pair], valid_fraction: float, test_fraction: float
) -> dict[str, list[Pair]]:
    """The pairs of the parts `PARTS`, each decided by the SHA-256 of its source's words alone.

    A source is thus in one part, however often it occurs, and stays there when the file has more
    lines or another order.

    Raises `UsageError` unless the fractions leave a training part.
    """
    train_end, valid_end = split_ends(HASHES, valid_fraction, test_fraction)
    parts: dict[str, list[Pair]] = {name: [] for name in PARTS}
    for pair in pairs:
        digest = hashlib.sha256(" ".join(pair.source).encode()).digest()
        number = int.from_bytes(digest[:4])
        parts[PARTS[(number >= train_end) + (number >= valid_end)]].append(pair)
    return parts


def longest_words(pair: Pair) -> int:
    """The number of words of the longer side."""
    return max(len(pair.source), len(pair.target))


def require_parts(parts: dict[str, list[Pair]], wanted: Sequence[str], of: str) -> None:
    """Raise `UsageError` if a part that is wanted has no pair.

    Args:
      of: what the pairs are, for the message.
    """
    names = {"train": "training", "valid": "validation", "test": "test"}
    total = sum(map(len, parts.values()))
    for name in wanted:
        if not parts[name]:
            raise UsageError(
                f"the {names[name]} part of {of} has none of its {total:,} pairs; give more pairs, "
                "or other fractions"
            )
