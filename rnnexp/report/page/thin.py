"""Chooses what a page keeps of many runs and of large arrays: evenly spaced, the ends included."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

MOST_RUNS = 300
"""A page draws and lists so many runs one by one."""
LEAST = 8
"""A dimension keeps at least this many entries, however many runs there are."""


class Sizes(NamedTuple):
    """A dimension of recorded arrays: how many entries there are, and how many are kept."""

    what: str
    there: int
    kept: int


def evenly(size: int, most: int) -> np.ndarray:
    """At most `most` of the indices 0 ... size - 1, evenly spaced, the first and the last kept."""
    if size <= most:
        return np.arange(size)
    if most < 2:
        return np.array([size - 1])
    return np.unique(np.linspace(0, size - 1, most).round().astype(int))


def kept_runs(names: Sequence[str], wanted: Collection[str], most: int) -> list[int]:
    """Which of some runs a page draws, at most `most`: those `wanted`, and others evenly spaced.

    Returns their places in `names`, in order. If more are wanted, some of them are left out.
    """
    if len(names) <= most:
        return list(range(len(names)))
    first = [place for place, name in enumerate(names) if name in wanted]
    first = [first[at] for at in evenly(len(first), most)]
    chosen = set(first)
    others = [place for place in range(len(names)) if place not in chosen]
    if most > len(first):
        first += [others[at] for at in evenly(len(others), most - len(first))]
    return sorted(first)


def kept_sizes(sizes: Sequence[int], most: int) -> tuple[int, ...]:
    """How many entries of each dimension to keep so that their product is at most `most`.

    Short dimensions are kept whole, and the long ones divide the rest equally. If `most` is too
    small for `LEAST` entries of each, the product exceeds it.
    """
    kept = [0] * len(sizes)
    left, order = float(most), sorted(range(len(sizes)), key=lambda place: sizes[place])
    for number, place in enumerate(order):
        size = max(left, 1.0) ** (1 / (len(order) - number))
        kept[place] = min(sizes[place], max(LEAST, int(size + 1e-9)))
        left /= max(kept[place], 1)
    return tuple(kept)
