"""The answer is the value of the leaf with the root's key, r edges from the root."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.tasks.base import Endless, Finite
from rnnexp.tasks.neighbors_match import neighbors_match, tree_edges
from tests.helpers.synthetic_batches import batch_of, spread


@pytest.mark.parametrize(("radius", "shuffled"), [(1, False), (2, True), (3, False), (3, True)])
def test_the_answer_is_at_the_leaf_with_the_key(radius: int, shuffled: bool) -> None:
    task = neighbors_match(radius=radius, shuffled_keys=shuffled)
    leaves, size = 2**radius, 4000
    batch = batch_of(task, size)
    rows = np.asarray(batch.context["annotations"]).reshape(size, -1, 2, leaves)
    keys, values = rows[:, -leaves:, 0], rows[:, -leaves:, 1]
    for one_hot in (keys, values):  # permutations
        assert np.all(one_hot.sum(1) == 1)
        assert np.all(one_hot.sum(2) == 1)
    of_first_B = keys[:, 0].argmax(-1)
    if shuffled:
        shares = np.bincount(of_first_B, minlength=leaves) / size
        np.testing.assert_allclose(shares, 1 / leaves, atol=spread(leaves, size))
    else:
        np.testing.assert_array_equal(keys, np.broadcast_to(np.eye(leaves), keys.shape))
    assert np.all(rows[:, 1:-leaves] == 0)
    assert np.all(rows[:, 0, 1] == 0)
    asked = rows[:, 0, 0].argmax(-1)
    place = (keys.argmax(-1) == asked[:, None]).argmax(1)
    answers = values.argmax(-1)[np.arange(size), place]
    np.testing.assert_array_equal(answers, batch.targets)
    assert np.all(np.asarray(batch.context["asked"]) == 0)
    for counted in (asked, place, answers):
        shares = np.bincount(counted, minlength=leaves) / size
        np.testing.assert_allclose(shares, 1 / leaves, atol=spread(leaves, size))
    assert task.baseline == {"loss": math.log(leaves), "accuracy": 1 / leaves}


def test_every_leaf_is_as_far_from_the_root() -> None:
    edges = tree_edges(3)
    parent = dict(edges[:, :2].tolist())
    assert len(parent) == len(edges) == 14
    for leaf in range(7, 15):
        node, steps = leaf, 0
        while node:
            node, steps = parent[node], steps + 1
        assert steps == 3
    assert sorted(parent.values()) == sorted([*range(7)] * 2)


def test_bad_options() -> None:
    for radius in (0, 11):
        with pytest.raises(UsageError, match=f"radius must be 1 to 10, not {radius}"):
            neighbors_match(radius=radius)
    with pytest.raises(UsageError, match="examples must be at least 0, not -1"):
        neighbors_match(examples=-1)


def test_a_fixed_training_set() -> None:
    task = neighbors_match(radius=2, examples=5)
    other = neighbors_match(radius=2, examples=5)
    assert isinstance(task.train, Finite)
    assert isinstance(other.train, Finite)
    indices = jnp.array([4, 0, 4])
    batch = task.train.take(task.train.arrays, indices)
    again = other.train.take(other.train.arrays, indices)
    np.testing.assert_array_equal(batch.context["annotations"], again.context["annotations"])
    np.testing.assert_array_equal(batch.targets[0], batch.targets[2])
    values = np.asarray(task.train.arrays.values_BxL)
    assert len({row.tobytes() for row in values}) > 1
    place = np.asarray(task.train.arrays.place_B)
    np.testing.assert_array_equal(batch.targets, values[indices, place[indices]])
    assert isinstance(task.valid, Endless)
