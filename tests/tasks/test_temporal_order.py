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


@pytest.mark.parametrize(
    ("symbols", "ranges"), [(2, [(10, 20), (50, 60)]), (3, [(10, 20), (33, 43), (66, 76)])]
)
def test_form_of_1997(symbols: int, ranges: list[tuple[int, int]]) -> None:
    task = build_task("temporal_order", length_steps=100, symbols=symbols, form="1997")
    batch = batch_of(task, 3000)
    assert batch.lengths_B is not None
    lengths, (X, Y, E, B) = np.asarray(batch.lengths_B), range(4, 8)
    assert set(lengths) == set(range(100, 111))
    assert batch.inputs_TxBxI.shape == (task.num_steps, 3000, 8) == (110, 3000, 8)
    for n, sequence in enumerate(np.asarray(batch.inputs_TxBxI).argmax(-1).T):
        valid = sequence[: lengths[n]]
        assert (valid[0], valid[-1]) == (E, B)
        assert not set(valid[1:-1]) & {E, B}
        places = np.flatnonzero((valid == X) | (valid == Y))
        for place, (first, last) in zip(places, ranges, strict=True):
            assert first <= place <= last
        bits = "".join(str(symbol - X) for symbol in valid[places])
        assert int(bits, 2) == int(batch.targets[n])
