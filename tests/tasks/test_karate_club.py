"""Training sees the two leaders' sides; validation and test see the others', each once."""

import numpy as np

from rnnexp.data import karate
from rnnexp.tasks.karate_club import karate_club
from tests.helpers.task_batches import batch_of


def test_each_member_is_scored_in_one_part() -> None:
    task = karate_club()
    parts = {part: batch_of(task, part, 1) for part in ("train", "valid", "test")}
    scored = {part: np.asarray(batch.context["scored"][0]) for part, batch in parts.items()}
    assert np.flatnonzero(scored["train"]).tolist() == [0, 33]
    np.testing.assert_array_equal(sum(scored.values()), np.ones(34))
    assert scored["valid"].sum() == scored["test"].sum() == 16
    batch = parts["train"]
    np.testing.assert_array_equal(batch.targets[0], karate.sides())
    np.testing.assert_array_equal(batch.context["annotations"][0], np.eye(34))
    edges = np.stack([batch.context["senders"][0], batch.context["receivers"][0]], 1)
    assert len(edges) == 156
    assert {tuple(edge) for edge in edges.tolist()} == {
        tuple(edge) for pair in karate.pairs().tolist() for edge in (pair, pair[::-1])
    }
