"""Graphs are cycles and paths, as walking along the edges shows."""

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.tasks.cycle_or_path import cycle_or_path
from tests.helpers.synthetic_batches import batch_of, spread


def test_walking_along_the_edges_shows_the_class() -> None:
    size, task = 3000, cycle_or_path(shortest=3, longest=7)
    batch = batch_of(task, size)
    context = {name: np.asarray(leaf) for name, leaf in batch.context.items()}
    lengths, targets = np.asarray(batch.lengths_B), np.asarray(batch.targets)
    np.testing.assert_array_equal(context["nodes"].sum(1), lengths)
    np.testing.assert_array_equal(context["annotations"][..., 0], context["nodes"])
    for b in range(200):
        there = context["types"][b, :, 0] == 1
        following = dict(
            zip(context["senders"][b, there], context["receivers"][b, there], strict=True)
        )
        assert len(following) == there.sum()
        begin = [v for v in range(lengths[b]) if v not in following.values()]
        assert len(begin) == 1 - targets[b, 0]
        node, seen = (begin or [0])[0], []
        while node not in seen:
            seen.append(node)
            node = following.get(node, node)
        assert sorted(seen) == list(range(lengths[b]))
        assert set(targets[b, : lengths[b]]) == {targets[b, 0]}
    assert abs(targets[:, 0].mean() - 0.5) < spread(2, size)
    shares = np.bincount(lengths, minlength=8)[3:] / size
    np.testing.assert_allclose(shares, 1 / 5, atol=spread(5, size))
    # the order is random: node 0 is where it may be
    first_receiver = np.bincount(context["receivers"][lengths == 7, 0], minlength=7)
    expected = first_receiver.sum() / 7
    assert np.all(np.abs(first_receiver - expected) < 4.5 * np.sqrt(expected))


def test_bad_options() -> None:
    for shortest, longest in ((2, 5), (6, 5)):
        with pytest.raises(UsageError, match=f"at most longest, not {shortest} and {longest}"):
            cycle_or_path(shortest=shortest, longest=longest)
