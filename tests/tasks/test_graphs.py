"""Graphs of many sizes side by side, their scores, and what is no graph."""

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data.buckets import group_by_length
from rnnexp.tasks.babi_graph import STORIES, babi_graph
from rnnexp.tasks.base import Finite
from rnnexp.tasks.graphs import Graph, choice_scores, graph_batch, node_scores, padded

SMALL = Graph(np.array([[1.0], [2.0]]), np.array([[0, 1, 1]]))
LARGE = Graph(np.array([[3.0], [4.0], [5.0]]), np.array([[2, 0, 0], [1, 2, 1]]))


def test_graphs_are_padded_to_the_largest() -> None:
    whole = padded([SMALL, LARGE], 2)
    assert whole.nodes_N.tolist() == [2, 3]
    assert whole.annotations_NxVxI[..., 0].tolist() == [[1, 2, 0], [3, 4, 5]]
    assert whole.edges_NxEx3.tolist() == [[[0, 1, 1], [0, 0, -1]], [[2, 0, 0], [1, 2, 1]]]
    batch = graph_batch(
        jnp.asarray(whole[0]), jnp.asarray(whole[1]), jnp.zeros(2, jnp.int32), types=2,
        nodes_B=jnp.asarray(whole.nodes_N), asked_B=jnp.array([1, 2], jnp.int32),
    )  # fmt: skip
    assert batch.inputs_TxBxI[..., 0].T.tolist() == [[1, 2, 0], [3, 4, 5]]
    context = batch.context
    assert context["nodes"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert context["types"].tolist() == [[[0, 1], [0, 0]], [[1, 0], [0, 1]]]
    assert context["senders"].tolist() == [[0, 0], [2, 1]]
    assert context["receivers"].tolist() == [[1, 0], [0, 2]]
    assert context["asked"].tolist() == [1, 2]


def test_a_graph_may_have_no_edge() -> None:
    assert padded([Graph(np.ones((1, 1)), np.zeros((0, 3), int))], 1).edges_NxEx3.tolist() == [
        [[0, 0, -1]]
    ]


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        (Graph(np.zeros((0, 1)), SMALL.edges_Ex3), "graph 1 has no nodes; a graph has at least 1"),
        (
            Graph(SMALL.annotations_VxI, np.array([[0, 1, 0], [1, 2, 0]])),
            "edge 1 of graph 1 leads from 1 to 2, but there is no node 2: the nodes are 0 to 1",
        ),
        (Graph(SMALL.annotations_VxI, np.array([[-1, 1, 0]])), "there is no node -1"),
        (Graph(SMALL.annotations_VxI, np.array([[0, 1, 2]])), "has type 2; types are 0 to 1"),
    ],
)
def test_what_is_no_graph(graph: Graph, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        padded([SMALL, graph], 2)


def test_scores_leave_padding_out() -> None:
    whole = padded([SMALL, LARGE], 2)
    nodes_B = jnp.asarray(whole.nodes_N)
    graphs = jnp.asarray(whole[0]), jnp.asarray(whole[1])
    targets = jnp.array([[0, 1, 1], [1, 1, 0]], jnp.int32)
    logits = np.zeros((2, 3, 2), np.float32)
    logits[0, :2, 0], logits[0, 2, 0] = 2.0, 1e6
    batch = graph_batch(*graphs, targets, types=2, nodes_B=nodes_B)
    scores = node_scores(jnp.asarray(logits.reshape(2, 6)), batch)
    assert scores["loss"].count_B.tolist() == [2, 3]
    first = np.log1p(np.exp(-2.0)) + np.log1p(np.exp(2.0))
    np.testing.assert_allclose(scores["loss"].total_B, [first, 3 * np.log(2)], rtol=1e-6)
    assert scores["accuracy"].total_B.tolist() == [1, 1]
    few = graph_batch(
        *graphs, targets, types=2, nodes_B=nodes_B, scored_BxV=jnp.array([[1, 0, 0], [0, 1, 0]])
    )
    assert node_scores(jnp.asarray(logits.reshape(2, 6)), few)["loss"].count_B.tolist() == [1, 1]
    chosen = graph_batch(*graphs, jnp.array([1, 2], jnp.int32), types=2, nodes_B=nodes_B)
    found = choice_scores(jnp.array([[0.0, 1, 50], [0, 1, 50]]), chosen)
    np.testing.assert_allclose(found["loss"].total_B, [np.log1p(np.exp(-1.0)), 0], rtol=1e-6)
    assert found["accuracy"].total_B.tolist() == [1, 1]


def test_buckets_of_one_size_would_save_little() -> None:
    """The nodes of a graph are those of its task's largest: see the guide of the tasks."""
    for number in STORIES:
        source = babi_graph(number=number, graphs=20).train
        assert isinstance(source, Finite)
        context = source.take(source.arrays, jnp.arange(20, dtype=jnp.int32)).context
        assert np.all(np.asarray(context["nodes"]) == 1)
        assert np.all(np.asarray(context["types"]).sum(-1) == 1)
    of = np.arange(6, 13)  # nodes of the graphs of shortest_path, all as likely
    one, few = (group_by_length(of, most_buckets=n) for n in (1, 8))
    assert one.padding == 0.25
    assert len(few.members) == 2
    assert few.padding == 0.125
