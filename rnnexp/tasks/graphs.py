"""Tasks on graphs: their batches, their padding and their scores.

The context of a batch is that of `rnnexp.cells.graph_messages`, padded to V nodes and E edges, with
one leaf more in a task that scores some nodes alone: `scored`, (B, V), 1 at these. The annotations
are the inputs too, (V, B, I), and the lengths the numbers of nodes: the first of the V are there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.tasks.base import Score
from rnnexp.tasks.classification import classification_scores
from rnnexp.tasks.scores import correct, cross_entropy


class Graph(NamedTuple):
    """A graph on the host.

    Attributes:
      annotations_VxI: what is known of each node.
      edges_Ex3: sender, receiver and type of each edge.
    """

    annotations_VxI: np.ndarray
    edges_Ex3: np.ndarray


class Padded(NamedTuple):
    """Graphs side by side, (N, ...): sizes are those of the largest; edges of type -1 fill up."""

    annotations_NxVxI: np.ndarray
    edges_NxEx3: np.ndarray
    nodes_N: np.ndarray


def padded(graphs: Sequence[Graph], types: int) -> Padded:
    """Graphs of many sizes as arrays of one.

    Raises `UsageError` for a graph without nodes, an edge to a node that does not exist, and a type
    that is none of the `types`.
    """
    for number, graph in enumerate(graphs):
        _check(number, graph, types)
    nodes_N = np.array([len(graph.annotations_VxI) for graph in graphs], np.int32)
    most_edges = max(1, *(len(graph.edges_Ex3) for graph in graphs))
    features = graphs[0].annotations_VxI.shape[1]
    annotations = np.zeros((len(graphs), nodes_N.max(), features), np.float32)
    edges = np.zeros((len(graphs), most_edges, 3), np.int32)
    edges[:, :, 2] = -1
    for number, graph in enumerate(graphs):
        annotations[number, : nodes_N[number]] = graph.annotations_VxI
        edges[number, : len(graph.edges_Ex3)] = graph.edges_Ex3
    return Padded(annotations, edges, nodes_N)


def _check(number: int, graph: Graph, types: int) -> None:
    """Raise `UsageError` for a graph that is none."""
    nodes = len(graph.annotations_VxI)
    if not nodes:
        raise UsageError(f"graph {number} has no nodes; a graph has at least 1")
    for place, (*ends, kind) in enumerate(np.reshape(graph.edges_Ex3, (-1, 3)).tolist()):
        for end in ends:
            if not 0 <= end < nodes:
                raise UsageError(
                    f"edge {place} of graph {number} leads from {ends[0]} to {ends[1]}, but there "
                    f"is no node {end}: the nodes are 0 to {nodes - 1}"
                )
        if not 0 <= kind < types:
            raise UsageError(
                f"edge {place} of graph {number} has type {kind}; types are 0 to {types - 1}"
            )


def graph_batch(
    annotations_BxVxI: Array,
    edges_BxEx3: Array,
    targets: Array,
    *,
    types: int,
    nodes_B: Array | None = None,
    asked_B: Array | None = None,
    scored_BxV: Array | None = None,
) -> Batch:
    """A batch of graphs.

    Args:
      edges_BxEx3: int32 sender, receiver and type of each edge; those of type -1 fill up.
      types: R, the number of types.
      nodes_B: the nodes of each graph, int32; None: all V.
      asked_B: the node that is asked for, int32, in a task that asks for one.
      scored_BxV: 1 at the nodes whose outputs are scored; None: all.
    """
    batch_size, nodes, _ = annotations_BxVxI.shape
    annotations = annotations_BxVxI.astype(float)
    counts_B = jnp.full(batch_size, nodes, jnp.int32) if nodes_B is None else nodes_B
    there_BxV = jnp.arange(nodes, dtype=jnp.int32)[None, :] < counts_B[:, None]
    context = {
        "annotations": annotations,
        "nodes": there_BxV.astype(annotations.dtype),
        "senders": edges_BxEx3[:, :, 0],
        "receivers": edges_BxEx3[:, :, 1],
        "types": jax.nn.one_hot(edges_BxEx3[:, :, 2], types, dtype=annotations.dtype),
    }
    if asked_B is not None:
        context["asked"] = asked_B
    if scored_BxV is not None:
        context["scored"] = scored_BxV.astype(annotations.dtype)
    inputs = jnp.swapaxes(annotations, 0, 1)
    return Batch(inputs, targets, nodes_B, context=context)


def choice_scores(logits_BxV: Array, batch: Batch) -> dict[str, Score]:
    """Cross-entropy in nats and accuracy of one node (B,) of each graph, padding left out."""
    nowhere = jnp.full_like(logits_BxV, jnp.finfo(logits_BxV.dtype).min)
    there = batch.context["nodes"] > 0
    return classification_scores(jnp.where(there, logits_BxV, nowhere), batch)


def node_scores(logits_BxVO: Array, batch: Batch) -> dict[str, Score]:
    """Cross-entropy in nats and accuracy of classes (B, V), one term a node that is scored."""
    batch_size, nodes = batch.targets.shape
    logits_BxVxO = logits_BxVO.reshape(batch_size, nodes, -1)
    counted = batch.context.get("scored", batch.context["nodes"]).astype(logits_BxVO.dtype)
    found = {
        "loss": cross_entropy(logits_BxVxO, batch.targets),
        "accuracy": correct(logits_BxVxO, batch.targets),
    }
    count_B = jnp.sum(counted, -1)
    return {name: Score(jnp.sum(value * counted, -1), count_B) for name, value in found.items()}
