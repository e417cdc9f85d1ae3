"""What a graph network answers, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.graph_readout import readout_of
from rnnexp.core.types import Tree
from tests.helpers.graphs import context_of

pytestmark = pytest.mark.usefixtures("x64")
RANDOM = np.random.default_rng(0)
V, F, H, O = 4, 3, 5, 2  # noqa: E741
NODES = np.array([1.0, 1, 1, 0])
ROWS = RANDOM.normal(size=(V, F))


def answer(mode: str, outputs: int, asked: int | None = None) -> tuple[np.ndarray, Tree]:
    """What a readout says of the rows, and its parameters."""
    graph = context_of(np.zeros((V, 1)), [(0, 1, 0)], asked=asked)
    readout = readout_of(mode, F, H, outputs, graph)
    params = {name: RANDOM.normal(size=shape) for name, shape in readout.shapes.items()}
    drawn = readout.init(jax.random.key(0))
    assert {name: leaf.shape for name, leaf in drawn.items()} == readout.shapes
    assert all(np.any(leaf != 0) == (leaf.ndim == 2) for leaf in drawn.values())
    asked_V = None if asked is None else jnp.eye(V)[asked]
    found = readout.outputs(params, jnp.asarray(ROWS), jnp.asarray(NODES), asked_V)
    return np.asarray(found), params


def test_a_node_is_chosen_among_those_that_are_there() -> None:
    found, p = answer("graph_to_node", V)
    expected = (np.tanh(ROWS @ p["w_score"] + p["b_score"]) @ p["v_score"])[:, 0] * NODES
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_every_node_has_outputs() -> None:
    found, p = answer("graph_to_nodes", O * V)
    np.testing.assert_allclose(found, (ROWS @ p["w_out"] + p["b_out"]).ravel(), rtol=1e-12)


def test_the_node_asked_for_answers() -> None:
    found, p = answer("graph_to_one", O, asked=2)
    np.testing.assert_allclose(found, ROWS[2] @ p["w_out"] + p["b_out"], rtol=1e-12)


def test_the_gated_sum_leaves_padding_out() -> None:
    found, p = answer("graph_to_one", O)
    gate = 1 / (1 + np.exp(-ROWS @ p["w_gate"] - p["b_gate"]))
    terms = gate * np.tanh(ROWS @ p["w_value"] + p["b_value"])
    whole = np.tanh(terms[:3].sum(0))
    np.testing.assert_allclose(found, whole @ p["w_out"] + p["b_out"], rtol=1e-12)
