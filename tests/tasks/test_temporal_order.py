"""The relevant symbols of temporal order fill the ranges of the paper."""

import numpy as np
import pytest

from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import batch_of, spread


@pytest.mark.parametrize(
    ("length", "symbols", "ranges"),
    [
        (100, 2, [(10, 20), (50, 60)]),
        (100, 3, [(10, 20), (33, 43), (66, 76)]),
        (10, 3, [(1, 2), (3, 4), (6, 7)]),
    ],
)
def test_relevant_symbols_fill_the_ranges_of_the_paper(
    length: int, symbols: int, ranges: list[tuple[int, int]]
) -> None:
    batch = batch_of(build_task("temporal_order", length_steps=length, symbols=symbols), 3000)
    sequences = np.asarray(batch.inputs_TxBxI).argmax(-1)
    np.testing.assert_array_equal(batch.inputs_TxBxI.sum(-1), 1)
    places = np.array([np.flatnonzero(sequence >= 4) for sequence in sequences.T])
    for place, (first, last) in zip(places.T, ranges, strict=True):
        assert set(place) == set(range(first, last + 1))
    noise = sequences[sequences < 4]
    shares = np.bincount(noise) / len(noise)
    np.testing.assert_allclose(shares, 1 / 4, atol=spread(4, len(noise)))
