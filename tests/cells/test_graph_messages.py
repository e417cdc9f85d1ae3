"""Messages against loops over the edges, for every aggregation, direction and normalisation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.graph_messages import dirichlet_energy, messages, prepared_edges
from tests.helpers.graphs import context_of

pytestmark = pytest.mark.usefixtures("x64")
RANDOM = np.random.default_rng(0)
V, S, M, R = 5, 3, 2, 2
EDGES = [(0, 1, 0), (2, 1, 1), (1, 0, 1), (3, 1, 0), (3, 1, 0), (4, 4, 1), (2, 3, -1)]
"""Two edges are the same, one is a loop, the last is padding; nobody sends to node 2 or 3."""


def prepared(**options: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "reverse": False, "self_loops": False, "aggregation": "sum", "normalisation": "none",
    } | options  # fmt: skip
    context = context_of(np.zeros((V + 1, 1)), EDGES, R, nodes=V)
    return prepared_edges(context, jnp.dtype("float64"), **chosen)


def listed(*, reverse: bool, self_loops: bool) -> list[tuple[int, int, int]]:
    """Sender, receiver and kind of every edge that there is."""
    edges = [edge for edge in EDGES if edge[2] >= 0]
    if reverse:
        edges += [(v, u, R + kind) for u, v, kind in edges]
    return edges + ([(v, v, 0) for v in range(V)] if self_loops else [])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize(
    ("aggregation", "normalisation"),
    [("sum", "none"), ("sum", "symmetric"), ("mean", "none"), ("max", "none")],
)
def test_messages_are_those_of_a_loop_over_the_edges(
    reverse: bool, self_loops: bool, aggregation: str, normalisation: str
) -> None:
    h_VxS, w_KxSxM = RANDOM.normal(size=(V + 1, S)), RANDOM.normal(size=(2 * R, S, M))
    options = {"reverse": reverse, "self_loops": self_loops, "aggregation": aggregation}
    edges = prepared(**options, normalisation=normalisation)
    there = listed(reverse=reverse, self_loops=self_loops)
    leaving = [sum(u == v for u, _, _ in there) for v in range(V)]
    reaching = [sum(w == v for _, w, _ in there) for v in range(V)]
    expected = np.zeros((V + 1, M))
    for v in range(V):
        rows = [
            h_VxS[u] @ w_KxSxM[kind]
            / (np.sqrt(leaving[u] * reaching[v]) if normalisation == "symmetric" else 1)
            for u, w, kind in there
            if w == v
        ]  # fmt: skip
        if rows:
            expected[v] = getattr(np, aggregation)(rows, axis=0)
    found = jax.jit(messages, static_argnums=3)(h_VxS, w_KxSxM, edges, aggregation)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("aggregation", ["sum", "mean", "max"])
def test_their_gradients_are_central_differences(aggregation: str) -> None:
    edges = prepared(aggregation=aggregation, reverse=True)
    w_KxSxM = jnp.asarray(RANDOM.normal(size=(2 * R, S, M)))
    weights = jnp.asarray(RANDOM.normal(size=(V + 1, M)))
    at = jnp.asarray(RANDOM.normal(size=(V + 1) * S))

    @jax.jit
    def value(flat: Any) -> Any:
        h_VxS = flat.reshape(V + 1, S)
        return jnp.sum(weights * messages(h_VxS, w_KxSxM, edges, aggregation))

    moves = 1e-6 * np.eye(at.size)
    numeric = [(value(at + move) - value(at - move)) / 2e-6 for move in moves]
    np.testing.assert_allclose(jax.grad(value)(at), numeric, rtol=1e-6, atol=1e-8)


def test_the_energy_is_a_sum_over_edges() -> None:
    h_VxS = RANDOM.normal(size=(V + 1, S))
    context = context_of(np.zeros((V + 1, 1)), EDGES, R, nodes=V)
    there = listed(reverse=False, self_loops=False)
    expected = sum(np.sum((h_VxS[u] - h_VxS[v]) ** 2) for u, v, _ in there) / V
    found = dirichlet_energy(jnp.asarray(h_VxS), prepared(), context["nodes"])
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    same = jnp.ones((V + 1, S))
    assert float(dirichlet_energy(same, prepared(), context["nodes"])) == 0
