"""Thinned arrays of a page are even, and have their ends."""

import itertools

import numpy as np
import pytest

from rnnexp.report.page.thin import LEAST, evenly, kept_runs, kept_sizes


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


def test_the_wanted_runs_are_kept_and_others_evenly_spaced() -> None:
    names = [f"run {n}" for n in range(1000)]
    assert kept_runs(names, {"run 5"}, 1000) == [*range(1000)]
    found = kept_runs(names, {"run 5", "run 998"}, 100)
    assert len(found) == 100
    assert {5, 998, 0, 999} <= set(found)
    assert found == sorted(found)
    assert max(b - a for a, b in itertools.pairwise(found)) <= 12
    assert kept_runs(names, set(names[10:300]), 7)[0] == 10
    assert len(kept_runs(names, set(names[10:300]), 7)) == 7
    assert len(kept_runs(names, set(names[:6]), 7)) == 7
