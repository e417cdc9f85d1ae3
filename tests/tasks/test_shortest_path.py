"""Nodes on a shortest path, against a breadth-first search, and the baseline."""

import math
from collections import deque
from typing import Any

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.tasks.shortest_path import baseline, draw, shortest_path
from tests.helpers.task_batches import batch_of


def steps_from(start: int, neighbours: dict[int, list[int]]) -> dict[int, int]:
    """Breadth first."""
    found, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        for other in neighbours[node]:
            if other not in found:
                found[other] = found[node] + 1
                queue.append(other)
    return found


def test_the_nodes_on_a_path_are_those_of_a_search() -> None:
    graphs, on_path = draw(np.random.default_rng(0), 100, 5, 9, 3)
    for graph, marked in zip(graphs, on_path, strict=True):
        nodes = len(graph.annotations_VxI)
        edges = {(u, v) for u, v, _ in graph.edges_Ex3.tolist()}
        assert {(v, u) for u, v in edges} == edges
        neighbours = {n: [v for u, v in edges if u == n] for n in range(nodes)}
        a, b = graph.annotations_VxI.argmax(0)
        assert a != b
        from_a, from_b = steps_from(a, neighbours), steps_from(b, neighbours)
        assert len(from_a) == nodes  # connected
        expected = [from_a[v] + from_b[v] == from_a[b] for v in range(nodes)]
        assert marked.tolist() == expected
    assert {len(graph.annotations_VxI) for graph in graphs} == {5, 6, 7, 8, 9}


def test_the_baseline_knows_the_marks_and_a_frequency() -> None:
    train = [np.array([1, 1, 1, 0]), np.array([1, 1, 0, 0])]
    test = [np.array([1, 1, 1]), np.array([1, 1, 0, 0, 0])]
    chance = (1 + 0.5) / (4 + 1)
    found = baseline(train, test)
    nats = -math.log(chance) - 3 * math.log(1 - chance)
    assert found == {"loss": pytest.approx(nats / 8), "accuracy": pytest.approx(7 / 8)}


def test_its_batches_are_padded() -> None:
    task = shortest_path(smallest=4, largest=6, graphs=30)
    batch = batch_of(task)
    assert batch.targets.shape == (6, 6)
    beyond = np.arange(6)[None] >= np.asarray(batch.lengths_B)[:, None]
    assert beyond.any()
    assert np.all(np.asarray(batch.context["annotations"])[beyond] == 0)
    assert task.baseline["accuracy"] > 0.5


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"smallest": 2}, "smallest must be at least 3 and at most largest, not 2 and 12"),
        ({"smallest": 13}, "not 13 and 12"),
        ({"extra_edges": -1}, "extra_edges must be at least 0"),
        ({"graphs": 0}, "graphs at least 1"),
    ],
)
def test_bad_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        shortest_path(**options)
