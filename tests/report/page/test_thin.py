"""Thinned arrays of a page are even, and have their ends."""

import numpy as np
import pytest

from rnnexp.report.page.thin import LEAST, evenly, kept_sizes


@pytest.mark.parametrize(("size", "most"), [(1, 5), (5, 5), (784, 71), (200, 2), (9, 1)])
def test_thinning_keeps_the_ends_and_even_distances(size: int, most: int) -> None:
    kept = evenly(size, most)
    assert len(kept) == min(size, most)
    assert kept[-1] == size - 1
    assert most < 2 or kept[0] == 0
    assert len(kept) < 2 or np.ptp(np.diff(kept)) <= 1


@pytest.mark.parametrize(
    ("sizes", "most"), [((200, 784), 5000), ((5, 784), 1000), ((3, 4), 100), ((90, 80, 70), 9000)]
)
def test_thinned_sizes_use_what_there_is_room_for(sizes: tuple[int, ...], most: int) -> None:
    kept = kept_sizes(sizes, most)
    assert np.prod(kept) <= most
    assert np.prod(kept) == np.prod(sizes) or np.prod(kept) > 0.8 * most
    assert kept_sizes(sizes, 1) == tuple(min(size, LEAST) for size in sizes)
