"""The relevant symbols of temporal order fill the ranges of the paper."""

from typing import Any

import jax
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.tasks.base import Endless
from rnnexp.train.build import build_task
from tests.helpers.synthetic_batches import KEY, batch_of, spread


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


def test_every_batch_has_a_length_of_its_own_with_its_own_ranges() -> None:
    task = build_task("temporal_order", length_steps=34, shortest_steps=21)
    assert task.num_steps == 34
    assert task.lengths is not None
    assert task.lengths.train == (21, 34)
    source = task.train
    assert isinstance(source, Endless)
    keys = jax.random.split(KEY, 700)
    batches = jax.jit(jax.vmap(lambda key: source.draw(key, 40)))(keys)
    lengths = np.asarray(batches.lengths_B)
    assert np.all(lengths == lengths[:, :1])  # one for the whole batch
    assert set(lengths[:, 0]) == set(range(21, 35))
    shares = np.bincount(lengths[:, 0])[21:] / len(keys)
    np.testing.assert_allclose(shares, 1 / 14, atol=spread(14, len(keys)))
    for length in (21, 29, 34):
        sequences = np.asarray(batches.inputs_TxBxI)[lengths[:, 0] == length].argmax(-1)
        places = np.argwhere(np.moveaxis(sequences, 1, 2) >= 4)[:, -1].reshape(-1, 2)
        for place, (first, last) in zip(places.T, ((10, 20), (50, 60)), strict=True):
            assert set(place) == set(range(length * first // 100, length * last // 100 + 1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shortest_steps": 9}, "shortest_steps must be at least 10, not 9"),
        ({"shortest_steps": 60, "length_steps": 50}, "length_steps must be at least 60, not 50"),
    ],
)
def test_lengths_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_task("temporal_order", **options)
