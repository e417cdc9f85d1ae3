"""Adjoints of nodes are changes by hand, exactly 0 beyond reach, and together what is recorded."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.graph import graph
from rnnexp.cells.rnn import rnn
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.gradflow.adjoints import norm_recorder, probes
from rnnexp.laboratory.node_adjoints import (
    NodeAdjoints,
    answering_nodes,
    distances,
    node_adjoints,
    nodes_dataset,
)
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.tasks.classification import classification_scores
from rnnexp.tasks.graphs import graph_batch

pytestmark = pytest.mark.usefixtures("x64")
RANDOM = np.random.default_rng(0)
V, I, H, O, STEPS, B = 6, 2, 3, 2, 3, 2  # noqa: E741
PATH = [(v, v + 1, 0) for v in range(V - 1)]
NODES = [6, 4]


def batch(**options: Any) -> Batch:
    """A path of six nodes, and one of four; node 3 is asked."""
    edges = np.array([PATH, [*PATH[:3], (0, 0, -1), (0, 0, -1)]], np.int32)
    given: dict[str, Any] = {"asked_B": jnp.array([3, 3], jnp.int32)} | options
    x, targets = jnp.asarray(RANDOM.normal(size=(B, V, I))), jnp.array([0, 1], jnp.int32)
    nodes_B = jnp.array(NODES, jnp.int32)
    return graph_batch(x, jnp.asarray(edges), targets, types=1, nodes_B=nodes_B, **given)


def model_of(of: Batch, *, reverse: bool = True, **options: Any) -> SequenceModel:
    shapes: Tree = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), of.context)
    cell = graph(
        I,
        H,
        example_context=shapes,
        output_size=O,
        steps=STEPS,
        reverse=reverse,
        node_cell="lstm",
        **options,
    )
    return SequenceModel(
        lambda size, layer: cell, structure=Structure(), input_size=I, output_size=O,
        mode="graph_to_one", key=jax.random.key(0),
    )  # fmt: skip


def losses(outputs: Array, of: Batch) -> Array:
    return classification_scores(outputs, of)["loss"].total_B


def found_of(model: SequenceModel, of: Batch) -> NodeAdjoints:
    found: NodeAdjoints = jax.device_get(jax.jit(lambda: node_adjoints(model, of, losses))())
    return found


def test_adjoints_are_derivatives_by_hand() -> None:
    """At the start, from the loss as a function of the start; later, as training records them."""
    of = batch()
    model = model_of(of)
    found = found_of(model, of)
    assert found.norm_BxTxV.shape == (B, STEPS + 1, V)

    @jax.jit
    def by_hand() -> Any:
        layer = model.units()[0].layer
        start = layer.start(B, of.context)

        def loss(h: Array) -> Array:
            options = ForwardOptions(context=of.context, states=[{**start, "h": h}])
            return jnp.sum(losses(model(of.inputs_TxBxI, options).outputs, of))

        recorder = norm_recorder(model.units(), [STEPS], B)

        def recorded(slots: Any) -> Array:
            options = ForwardOptions(context=of.context, probes=probes(recorder.apply, slots))
            return jnp.mean(losses(model(of.inputs_TxBxI, options).outputs, of))

        norms = recorder.norms(jax.grad(recorded)(recorder.slots), [None])
        return jax.grad(loss)(start["h"]), norms

    slope, (norms,) = by_hand()
    np.testing.assert_allclose(
        found.norm_BxTxV[:, 0], np.linalg.norm(slope, axis=-1), rtol=1e-10, atol=1e-15
    )
    whole_BxT = np.linalg.norm(found.norm_BxTxV[:, 1:], axis=-1)
    np.testing.assert_allclose(whole_BxT.mean(0), norms["h"], rtol=1e-10)


def test_the_mean_by_distance_is_zero_beyond_the_steps_that_remain() -> None:
    of = batch()
    found = found_of(model_of(of), of)
    data = nodes_dataset(found, answering_nodes(of, "graph_to_one"))
    assert data["distance"].values.tolist() == [
        [3, 2, 1, 0, 1, 2], [3, 2, 1, 0, np.inf, np.inf],
    ]  # fmt: skip
    assert data["nodes_at"].values.tolist() == [2, 3, 3, 2]
    norms = data["by_distance"].values
    for step in range(STEPS + 1):
        assert np.all(norms[step, STEPS - step + 1 :] == 0)
        assert np.all(norms[step, : STEPS - step + 1] > 0)
    at_two = np.concatenate([found.norm_BxTxV[0, :, [1, 5]], found.norm_BxTxV[1, :, [1]]])
    np.testing.assert_allclose(norms[:, 2], at_two.mean(0), rtol=1e-12)
    assert np.isnan(data["adjoint_norm"].values[1, :, 4:]).all()
    np.testing.assert_allclose(data["energy"], found.energy_BxT.mean(0), rtol=1e-12)


def test_the_energy_before_the_first_step_is_that_of_the_annotations() -> None:
    of = batch()
    x = np.asarray(of.context["annotations"])
    expected = [
        2 * sum(np.sum((x[b, u] - x[b, v]) ** 2) for u, v, _ in PATH[: NODES[b] - 1]) / NODES[b]
        for b in range(B)
    ]
    np.testing.assert_allclose(found_of(model_of(of), of).energy_BxT[:, 0], expected, rtol=1e-12)


def test_distances_are_along_the_messages() -> None:
    """Without messages against the edges, nodes behind the answer have no way to it."""
    of = batch()
    found = found_of(model_of(of, reverse=False), of)
    away = distances(found.edges, answering_nodes(of, "graph_to_one"))
    assert away[0].tolist() == [3, 2, 1, 0, np.inf, np.inf]
    assert np.all(found.norm_BxTxV[0, :, 4:] == 0)


def test_which_nodes_answer() -> None:
    asked = batch()
    assert np.argwhere(answering_nodes(asked, "graph_to_one")).tolist() == [[0, 3], [1, 3]]
    whole = batch(asked_B=None)
    assert answering_nodes(whole, "graph_to_one").sum(1).tolist() == NODES
    assert np.argwhere(answering_nodes(whole, "graph_to_node")).tolist() == [[0, 0], [1, 1]]
    scored = batch(asked_B=None, scored_BxV=jnp.eye(V)[:B])
    assert np.argwhere(answering_nodes(scored, "graph_to_nodes")).tolist() == [[0, 0], [1, 1]]


def test_other_cells_have_no_nodes() -> None:
    model = SequenceModel(
        lambda size, layer: rnn(I, H), structure=Structure(), input_size=I, output_size=O,
        mode="sequence_to_one", key=jax.random.key(0),
    )  # fmt: skip
    with pytest.raises(UsageError, match="cell 'rnn' is no graph network"):
        node_adjoints(model, batch(), losses)
