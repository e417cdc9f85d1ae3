"""Buckets pad as little as the best of all cuts, and are as few as that allows."""

import itertools

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data.buckets import group_by_length


def least_padding(lengths: np.ndarray, buckets: int) -> float:
    """By trying every way to cut the sorted lengths into so many runs."""
    ordered = np.sort(lengths)
    totals = []
    for cuts in itertools.combinations(range(1, len(ordered)), buckets - 1):
        runs = np.split(ordered, list(cuts))
        totals.append(sum(len(run) * run[-1] for run in runs))
    return float(1 - ordered.sum() / min(totals))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("buckets", [1, 2, 3, 4])
def test_buckets_pad_as_little_as_the_best_of_all_cuts(seed: int, buckets: int) -> None:
    lengths = np.random.default_rng(seed).geometric(0.05, 9)
    grouping = group_by_length(lengths, most_buckets=buckets, padding_below=0)
    together = np.sort(np.concatenate(grouping.members))
    np.testing.assert_array_equal(together, np.arange(9))
    padded = sum(len(members) * lengths[members].max() for members in grouping.members)
    np.testing.assert_allclose(grouping.padding, 1 - lengths.sum() / padded, atol=1e-12)
    np.testing.assert_allclose(grouping.padding, least_padding(lengths, buckets), atol=1e-12)
    longest = [lengths[members].max() for members in grouping.members]
    assert longest == sorted(longest)


@pytest.mark.parametrize("seed", range(6))
def test_buckets_are_as_few_as_the_padding_allows(seed: int) -> None:
    lengths = np.random.default_rng(seed).geometric(0.02, 12)
    grouping = group_by_length(lengths, padding_below=0.2)
    number = len(grouping.members)
    assert grouping.padding < 0.2
    assert number == 1 or least_padding(lengths, number - 1) >= 0.2


def test_buckets_of_equal_and_of_hopeless_lengths() -> None:
    equal = group_by_length(np.full(5, 7), most_buckets=8, padding_below=0)
    assert [m.tolist() for m in equal.members] == [[0, 1, 2, 3, 4]]
    assert equal.padding == 0
    two = group_by_length(np.array([1, 100, 10_000]), most_buckets=2, padding_below=0)
    assert [m.tolist() for m in two.members] == [[0, 1], [2]]


@pytest.mark.parametrize(("lengths", "most"), [([], 8), ([3, 0], 8), ([3], 0)])
def test_buckets_of_nothing(lengths: list[int], most: int) -> None:
    with pytest.raises(UsageError, match="bucketing needs"):
        group_by_length(np.array(lengths, int), most_buckets=most)
