"""Shortest paths: the nodes of a graph that lie on a shortest path between two marked ones.

A graph is connected: a tree that grows by one node after the other, each beside one of those
before it, and some edges more between other pairs; its nodes are in random order. Every node
answers whether it lies on one of the shortest paths between the two that are marked, these
included. Edges are there in both directions. (An own task, after the one of Li et al. 2016, "Gated
graph sequence neural networks", section 5.2.)

The baseline sees the marks alone: a marked node lies on a path, others do so as often as those of
the training part.
"""

import math

import jax.numpy as jnp
import numpy as np
from scipy.sparse.csgraph import shortest_path as distances  # type: ignore[import-untyped]

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.graphs import Graph, graph_batch, node_scores, padded

TEST_GRAPHS = 500
SEED = 1959  # of the graphs


def shortest_path(
    *, smallest: int = 6, largest: int = 12, extra_edges: int = 3, graphs: int = 2000
) -> Task:
    """Tell the nodes on a shortest path between two nodes.

    Args:
      smallest: the fewest nodes, 3 or more.
      largest: the most nodes.
      extra_edges: edges besides those of the tree; a pair that has one already gets no other.
      graphs: training examples; 500 others are for validation and 500 for the test.
    """
    if not 3 <= smallest <= largest:
        raise UsageError(
            f"smallest must be at least 3 and at most largest, not {smallest} and {largest}"
        )
    if extra_edges < 0 or graphs < 1:
        raise UsageError(
            f"extra_edges must be at least 0 and graphs at least 1, not {extra_edges} and {graphs}"
        )
    parts = [
        draw(np.random.default_rng((SEED, split)), size, smallest, largest, extra_edges)
        for split, size in enumerate((graphs, TEST_GRAPHS, TEST_GRAPHS))
    ]
    sources = [source(*part, largest=largest) for part in parts]
    return Task(
        name="shortest_path",
        mode="graph_to_nodes",
        input_size=2,
        output_size=2 * largest,
        num_steps=largest,
        train=sources[0],
        valid=sources[1],
        test=sources[2],
        scores=node_scores,
        baseline=baseline(parts[0][1], parts[2][1]),
        headline="accuracy",
        higher_is_better=True,
    )


def draw(
    random: np.random.Generator, count: int, smallest: int, largest: int, extra_edges: int
) -> tuple[list[Graph], list[np.ndarray]]:
    """Graphs, and for each node whether it lies on a shortest path."""
    drawn = [
        one(random, int(n), extra_edges) for n in random.integers(smallest, largest + 1, count)
    ]
    return [graph for graph, _ in drawn], [on_path for _, on_path in drawn]


def one(random: np.random.Generator, nodes: int, extra_edges: int) -> tuple[Graph, np.ndarray]:
    """A graph, and for each node whether it lies on a shortest path, (V,)."""
    pairs = {(int(random.integers(v)), v) for v in range(1, nodes)}
    for _ in range(extra_edges):
        u, v = (int(node) for node in random.permutation(nodes)[:2])
        pairs.add((min(u, v), max(u, v)))
    new = random.permutation(nodes)
    edges = [(new[a], new[b], 0) for u, v in sorted(pairs) for a, b in ((u, v), (v, u))]
    edges_Ex3 = np.array(edges, np.int32)
    near_VxV = np.zeros((nodes, nodes))
    near_VxV[edges_Ex3[:, 0], edges_Ex3[:, 1]] = 1
    steps_VxV = distances(near_VxV, unweighted=True)
    a, b = random.permutation(nodes)[:2]
    x_VxI = np.zeros((nodes, 2))
    x_VxI[[a, b], [0, 1]] = 1
    on_path_V = steps_VxV[a] + steps_VxV[b] == steps_VxV[a, b]
    return Graph(x_VxI, edges_Ex3), on_path_V.astype(np.int32)


def source(graphs: list[Graph], on_path: list[np.ndarray], *, largest: int) -> Finite:
    """The graphs as a source of batches, padded to `largest` nodes."""
    whole = padded(graphs, 1)
    annotations = np.zeros((len(graphs), largest, 2), np.float32)
    annotations[:, : whole.annotations_NxVxI.shape[1]] = whole.annotations_NxVxI
    targets = np.zeros((len(graphs), largest), np.int32)
    for number, of_graph in enumerate(on_path):
        targets[number, : len(of_graph)] = of_graph
    arrays = tuple(map(jnp.asarray, (annotations, whole.edges_NxEx3, targets, whole.nodes_N)))

    def take(arrays: Tree, indices_B: Array) -> Batch:
        annotations, edges, targets, nodes_B = (leaf[indices_B] for leaf in arrays)
        return graph_batch(annotations, edges, targets, types=1, nodes_B=nodes_B)

    return Finite(arrays, len(graphs), take)


def baseline(train: list[np.ndarray], test: list[np.ndarray]) -> dict[str, float]:
    """Scores on the test part of the frequency in the training part; both marked nodes of each
    graph lie on the path."""

    def counts(part: list[np.ndarray]) -> tuple[int, int, int]:
        """All nodes, those without a mark, and those of them on a path."""
        nodes = sum(map(len, part))
        others = nodes - 2 * len(part)
        return nodes, others, int(sum(map(np.sum, part))) - 2 * len(part)

    _, others, on_path = counts(train)
    chance = (on_path + 0.5) / (others + 1)
    nodes, others, on_path = counts(test)
    nats = -on_path * math.log(chance) - (others - on_path) * math.log(1 - chance)
    right = on_path if chance > 0.5 else others - on_path
    return {"loss": nats / nodes, "accuracy": (nodes - others + right) / nodes}
