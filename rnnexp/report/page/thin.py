"""Which entries of large arrays a page keeps: evenly spaced ones, the ends among them."""

from collections.abc import Sequence

import numpy as np

LEAST = 8
"""A dimension is never thinned below so many entries, however many runs there are."""


def evenly(size: int, most: int) -> np.ndarray:
    """At most `most` of the indices 0 ... size - 1, evenly spaced, the first and the last kept."""
    if size <= most:
        return np.arange(size)
    if most < 2:
        return np.array([size - 1])
    return np.unique(np.linspace(0, size - 1, most).round().astype(int))


def kept_sizes(sizes: Sequence[int], most: int) -> tuple[int, ...]:
    """How many entries of each dimension to keep so that their product is at most `most`.

    Short dimensions are kept whole, and the long ones share what is left equally. Where `most`
    is too small for `LEAST` entries of each, the product is larger than asked.
    """
    kept = [0] * len(sizes)
    left, order = float(most), sorted(range(len(sizes)), key=lambda place: sizes[place])
    for number, place in enumerate(order):
        share = max(left, 1.0) ** (1 / (len(order) - number))
        floor = min(sizes[place], LEAST)
        kept[place] = min(sizes[place], max(floor, int(share + 1e-9)))
        left /= max(kept[place], 1)
    return tuple(kept)
