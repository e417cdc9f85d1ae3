"""Groups sequences by length into few buckets with the least padding."""

from typing import NamedTuple

import numpy as np

from rnnexp.core.errors import UsageError


class Grouping(NamedTuple):
    """Indices of the sequences of each bucket, shortest bucket first, and the padding.

    Every bucket is padded to its longest sequence. `padding` is the fraction of all steps
    that hold no data, in [0, 1).
    """

    members: tuple[np.ndarray, ...]
    padding: float


def group_by_length(
    lengths_N: np.ndarray, *, most_buckets: int = 8, padding_below: float = 0.2
) -> Grouping:
    """The fewest buckets with less padding than `padding_below`, or else `most_buckets`.

    The padding is minimal for the number of buckets: a bucket of an optimum holds all
    lengths from its shortest to its longest, so dynamic programming over the D distinct
    lengths finds it in O(D^2) per bucket.

    Args:
      lengths_N: steps of each sequence, positive.
      most_buckets: the largest number of buckets.
      padding_below: the fraction of padding below which no more buckets are added.

    Raises `UsageError` if there is no sequence, an empty one, or no bucket allowed.
    """
    if len(lengths_N) == 0 or lengths_N.min() < 1 or most_buckets < 1:
        raise UsageError(
            "bucketing needs sequences of at least one step and most_buckets of at least 1; "
            f"there are {len(lengths_N)} sequences, most_buckets is {most_buckets}"
        )
    length_D, count_D = np.unique(lengths_N, return_counts=True)
    size_DxD = _padded_sizes(length_D, count_D)
    # least_D[j]: padded steps of the lengths 0..j in as many buckets as `starts` has rows;
    # starts[k][j]: the first length of the bucket k that ends with length j
    least_D, starts = size_DxD[0], [np.zeros(len(length_D), int)]
    most = min(most_buckets, len(length_D))
    while _padding(lengths_N, least_D[-1]) >= padding_below and len(starts) < most:
        total_DxD = np.concatenate([[np.inf], least_D[:-1]])[:, None] + size_DxD
        starts.append(np.argmin(total_DxD, 0))
        least_D = np.min(total_DxD, 0)
    members: list[np.ndarray] = []
    last = len(length_D) - 1
    for start_D in reversed(starts):
        first = start_D[last]
        inside_N = (length_D[first] <= lengths_N) & (lengths_N <= length_D[last])
        members.insert(0, np.flatnonzero(inside_N))
        last = first - 1
    return Grouping(tuple(members), _padding(lengths_N, least_D[-1]))


def _padded_sizes(length_D: np.ndarray, count_D: np.ndarray) -> np.ndarray:
    """(i, j): padded steps of a bucket that holds the lengths i to j; infinite for i > j."""
    ends = np.cumsum(count_D)
    sequences_DxD = ends[None, :] - (ends - count_D)[:, None]
    return np.where(sequences_DxD > 0, sequences_DxD * length_D[None, :], np.inf)


def _padding(lengths_N: np.ndarray, padded_steps: float) -> float:
    return float(1 - lengths_N.sum() / padded_steps)
