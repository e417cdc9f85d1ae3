"""Graph networks: closed forms of linear ones, GGNN by hand, symmetries, and every update cell."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells import CELLS
from rnnexp.cells.base import CONTEXT, Cell
from rnnexp.cells.graph import graph, update_cell
from rnnexp.cells.graph_messages import dirichlet_energy, prepared_edges
from rnnexp.core.types import Array, Params, Tree
from rnnexp.scan.unroll import initial_state, unroll
from rnnexp.tasks.neighbors_match import tree_edges
from rnnexp.train.check_cell import check_cell
from tests.helpers.graphs import (
    TYPED,
    H,
    I,
    adjacency,
    adjoints_of,
    answer_of,
    batch_of_one,
    both_ways,
    context_of,
    linear_network,
    made,
    ring,
    states_of,
    typed,
)

pytestmark = pytest.mark.usefixtures("x64")
RANDOM = np.random.default_rng(0)
SLOW = ("ntm", "dnc", "stack_rnn")
UPDATES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in CELLS.builtin
    if "asynchronous" in CELLS.entry(name).modes
]


def symmetric(size: int, edges_Ex3: np.ndarray) -> np.ndarray:
    """D^-1/2 (A + 1) D^-1/2."""
    with_loops = adjacency(size, edges_Ex3) + np.eye(size)
    root = np.sqrt(with_loops.sum(0))
    normalised: np.ndarray = with_loops / np.outer(root, root)
    return normalised


def test_a_linear_network_is_a_product_of_kronecker_powers() -> None:
    """dh_T/dh_t = A^k x (W^k)^T of k = T - t steps; squared singular values lambda_i^2 mu_j."""
    size, edges = 5, both_ways([(0, 1), (1, 2), (1, 3), (3, 4)])
    w_HxH = RANDOM.normal(size=(3, 3))
    context = context_of(RANDOM.normal(size=(size, 2)), edges)
    cell, params = linear_network(context, w_HxH, normalisation="symmetric", self_loops=True)
    whole = {**params, CONTEXT: cell.context(params, context)}  # type: ignore[misc]

    def after(h_S: Array, steps: int) -> Array:
        state = {"h": h_S.reshape(size, 3)}
        for _ in range(steps):
            state = dict(cell.transition(whole, state, jnp.zeros(2)))
        return state["h"].reshape(-1)

    slope = jax.jit(jax.jacobian(after), static_argnums=1)
    a_VxV = symmetric(size, edges)
    for steps in (1, 4):
        found = slope(jnp.asarray(RANDOM.normal(size=3 * size)), steps)
        power = np.linalg.matrix_power
        expected = np.kron(power(a_VxV, steps), power(w_HxH, steps).T)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    one_step = np.linalg.svd(slope(jnp.ones(3 * size), 1), compute_uv=False) ** 2
    products = np.outer(np.linalg.eigvalsh(a_VxV) ** 2, np.linalg.eigvalsh(w_HxH @ w_HxH.T))
    np.testing.assert_allclose(one_step, np.sort(products.ravel())[::-1], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("size", "second", "steps"), [(8, 0.8047, 40), (16, 0.9492, 100), (32, 0.9872, 300)]
)
def test_the_energy_on_a_cycle_falls_by_the_second_eigenvalue_squared(
    size: int, second: float, steps: int
) -> None:
    exact = (1 + 2 * math.cos(2 * math.pi / size)) / 3
    assert abs(exact - second) < 1e-4
    x_VxI = RANDOM.normal(size=(size, 2))
    context = context_of(x_VxI - x_VxI.mean(0), ring(size))
    cell, params = linear_network(
        context, np.eye(2), normalisation="symmetric", self_loops=True, steps=steps
    )
    edges = prepared_edges(
        context, jnp.dtype("float64"), reverse=False, self_loops=False, aggregation="sum",
        normalisation="none",
    )  # fmt: skip
    energies = jax.vmap(lambda h: dirichlet_energy(h, edges, context["nodes"]))(
        states_of(cell, params, context)["h"]
    )
    np.testing.assert_allclose(energies[-1] / energies[-2], exact**2, rtol=1e-8)
    assert abs(energies[1] / energies[0] / exact**2 - 1) > 1e-3  # faster modes first


@pytest.mark.parametrize("radius", [1, 2, 4])
def test_a_leaf_reaches_the_root_of_a_mean_tree_by_a_third_a_step(radius: int) -> None:
    """Each node takes the mean over two children and itself, and there is one path: 3^-r."""
    edges = tree_edges(radius)
    size = len(edges) + 1
    context = context_of(RANDOM.normal(size=(size, 2)), edges)
    cell, params = linear_network(
        context, np.eye(2), aggregation="mean", self_loops=True, steps=radius + 1
    )
    root = np.zeros((size, 4))
    root[0, 0] = 1
    adjoints = adjoints_of(cell, params, context, root.reshape(-1))["h"]
    leaves_LxH = adjoints[0, size // 2 :]  # after the first step r are left
    np.testing.assert_allclose(leaves_LxH[:, 0], 3.0**-radius, rtol=1e-14)
    assert np.all(np.asarray(leaves_LxH[:, 1]) == 0)


@pytest.mark.parametrize("update", ["gru", "lstm", "lru"])
def test_no_gradient_comes_from_farther_than_the_steps_that_remain(update: str) -> None:
    size, steps = 8, 4
    path = both_ways([(v, v + 1) for v in range(size - 1)])
    context = context_of(RANDOM.normal(size=(size, I)), path, asked=0)
    cell, params = made(context, node_cell=update, steps=steps, output_size=3)
    for name, leaf in adjoints_of(cell, params, context, RANDOM.normal(size=3)).items():
        sizes_TxV = np.abs(leaf).reshape(steps, size, -1).max(-1)
        for t in range(steps):
            remaining = steps - 1 - t
            assert np.all(sizes_TxV[t, remaining + 1 :] == 0)
            if name == cell.hidden:
                assert np.all(sizes_TxV[t, : remaining + 1] > 0)


def test_it_is_the_gated_graph_network_by_hand() -> None:
    """Dense matrices a kind, and the equations of the GRU."""
    context = typed()
    cell, params = made(context, node_cell="gru", steps=3, task_mode="graph_to_node", output_size=5)
    p = {name: np.asarray(leaf) for name, leaf in params.items()}
    x_VxI = np.asarray(context["annotations"])
    h = np.concatenate([x_VxI, np.zeros((5, H - I))], 1)
    into = [adjacency(5, TYPED, kind) for kind in (0, 1)]
    for _ in range(3):
        a = p["b_message"] + sum(
            into[k] @ h @ p["w_message"][k] + into[k].T @ h @ p["w_message"][2 + k] for k in (0, 1)
        )
        x_r, x_z, x_n = np.split(a @ p["update_w_x"] + p["update_b"], 3, axis=1)
        h_r, h_z, h_n = np.split(h @ p["update_w_h"], 3, axis=1)
        r, z = 1 / (1 + np.exp(-x_r - h_r)), 1 / (1 + np.exp(-x_z - h_z))
        n = np.tanh(x_n + r * (h_n + p["update_b_hn"]))
        h = (1 - z) * n + z * h
    f = np.concatenate([h, x_VxI], 1)
    logits = np.tanh(f @ p["w_score"] + p["b_score"]) @ p["v_score"][:, 0]
    np.testing.assert_allclose(answer_of(cell, params, context), logits, rtol=1e-12)


OPTIONS: list[dict[str, Any]] = [
    {"task_mode": "graph_to_node", "output_size": 5},
    {"task_mode": "graph_to_nodes", "output_size": 15, "node_cell": "lstm", "aggregation": "mean"},
    {"task_mode": "graph_to_one", "output_size": 3, "node_cell": "rnn", "aggregation": "max"},
    {"task_mode": "graph_to_one", "output_size": 3, "node_cell": "feedforward", "self_loops": True,
     "normalisation": "symmetric", "residual": True, "tied": False},
    {"task_mode": "graph_to_nodes", "output_size": 5, "node_cell": "lru", "start": "linear",
     "tied": False, "reverse": False},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_order_of_nodes_and_edges_does_not_matter(options: dict[str, Any]) -> None:
    context = typed()
    cell, params = made(context, **options)
    order_V, order_E = RANDOM.permutation(5), RANDOM.permutation(len(TYPED))
    place_V = np.argsort(order_V)  # node v is number place_V[v] now
    edges = np.stack([place_V[TYPED[:, 0]], place_V[TYPED[:, 1]], TYPED[:, 2]], 1)[order_E]
    other = context_of(np.asarray(context["annotations"])[order_V], edges, 2)
    rows, moved = (np.asarray(answer_of(cell, params, c)) for c in (context, other))
    if options["task_mode"] != "graph_to_one":
        rows = rows.reshape(5, -1)[order_V].ravel()
    np.testing.assert_allclose(moved, rows, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_padding_changes_nothing(options: dict[str, Any]) -> None:
    context = typed()
    filling = np.full((2, I), np.nan)
    wide = context_of(
        np.concatenate([context["annotations"], filling]),
        [*TYPED, (1, 2, -1), (6, 0, -1)], 2, nodes=5,
    )  # fmt: skip
    output_size = options["output_size"]
    sizes = {"graph_to_node": 7, "graph_to_nodes": output_size // 5 * 7}
    cell, params = made(context, **options)
    more = options | {"output_size": sizes.get(options["task_mode"], output_size)}
    padded_cell = made(wide, **more)[0]
    weights = RANDOM.normal(size=output_size)

    def value(cell: Cell, graph: Tree, params: Params) -> Array:
        return jnp.sum(weights * answer_of(cell, params, graph)[:output_size])

    alone = jax.jit(jax.value_and_grad(lambda p: value(cell, context, p)))(params)
    within = jax.jit(jax.value_and_grad(lambda p: value(padded_cell, wide, p)))(params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13), within, alone
    )
    whole = {**params, CONTEXT: padded_cell.context(params, wide)}  # type: ignore[misc]
    begun = padded_cell.start(whole)  # type: ignore[misc]
    kept = states_of(padded_cell, params, wide)[cell.hidden][:, 5:]
    assert np.all(np.asarray(kept) == np.asarray(begun[cell.hidden][None, 5:]))


@pytest.mark.parametrize("update", UPDATES)
def test_without_edges_every_node_is_the_update_alone(update: str) -> None:
    """Run on the bias of the messages. This holds for every cell that reads step by step."""
    context = context_of(RANDOM.normal(size=(2, I)), [(0, 1, -1)])
    cell, params = made(
        context, node_cell=update, steps=3, task_mode="graph_to_nodes", output_size=2
    )
    check_cell("graph", cell, I, jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype),
                                              context))  # fmt: skip
    one = update_cell(update, H)
    own = {k.removeprefix("update_"): v for k, v in params.items() if k.startswith("update_")}
    begin = dict(initial_state(one, own, 2))
    flat = begin[one.hidden].reshape(2, -1)
    flat = flat.at[:, :I].add(context["annotations"])
    begin[one.hidden] = flat.reshape(begin[one.hidden].shape)
    inputs = jnp.broadcast_to(params["b_message"], (3, 2, H))
    expected = jax.jit(lambda: unroll(one, own, inputs, state=begin, keep_states=True))()
    found = states_of(cell, params, context)
    for leaf, values in (expected.states or {}).items():
        np.testing.assert_allclose(found[leaf], values, rtol=1e-11, atol=1e-13)
    f_VxF = np.concatenate([expected.outputs_TxBxH[-1], context["annotations"]], 1)
    answer = (f_VxF @ np.asarray(params["w_out"]) + np.asarray(params["b_out"])).ravel()
    np.testing.assert_allclose(answer_of(cell, params, context), answer, rtol=1e-11, atol=1e-13)


def test_a_residual_adds_the_old_state() -> None:
    context = typed()
    plain, params = made(context, node_cell="feedforward", steps=1, output_size=2)
    added = graph(I, H, example_context=context, node_cell="feedforward", steps=1, output_size=2,
                  residual=True)  # fmt: skip
    whole = {**params, CONTEXT: plain.context(params, context)}  # type: ignore[misc]
    begin = plain.start(whole)  # type: ignore[misc]
    new, more = (cell.transition(whole, begin, jnp.zeros(I))["h"] for cell in (plain, added))
    np.testing.assert_allclose(more, new + begin["h"], rtol=1e-14)


def test_examples_of_a_batch_are_apart() -> None:
    """Each has its own edges."""
    one, other = typed(asked=0), typed(asked=3)
    other["senders"] = other["receivers"]
    cell, params = made(one, output_size=2)
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), one, other)
    found = unroll(cell, params, jnp.zeros((cell.steps, 2, I)), context=both).final_BxH
    for row, context in zip(found, (one, other), strict=True):
        np.testing.assert_allclose(row, answer_of(cell, params, context), rtol=1e-12)
    assert np.abs(found[0] - found[1]).max() > 1e-6
    assert batch_of_one(one)["senders"].shape == (1, len(TYPED))
