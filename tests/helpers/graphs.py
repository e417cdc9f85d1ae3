"""Graphs as contexts, dense matrices of their edges, graph networks with and without a readout."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.cells.feedforward import feedforward
from rnnexp.cells.graph import graph, graph_network
from rnnexp.cells.graph_parameters import Options
from rnnexp.cells.graph_readout import Readout
from rnnexp.core.types import Array, Params, State, Tree
from rnnexp.scan.unroll import Probe, unroll
from tests.helpers.noisy_params import with_noise

I, H = 2, 4  # noqa: E741
TYPED = np.array([[0, 1, 0], [1, 2, 1], [3, 1, 1], [4, 3, 0], [2, 4, 1], [0, 3, 1]], np.int32)
"""Edges of two types between five nodes."""


def context_of(
    annotations_VxI: np.ndarray, edges: Any, types: int = 1, *, asked: int | None = None,
    nodes: int | None = None,
) -> Tree:  # fmt: skip
    """The context of one example. Of its rows only the first `nodes` are nodes, if that is given;
    edges of type -1 are padding."""
    edges_Ex3 = np.asarray(edges, np.int32).reshape(-1, 3)
    size = len(annotations_VxI)
    context: dict[str, Array] = {
        "annotations": jnp.asarray(annotations_VxI),
        "nodes": jnp.asarray(np.arange(size) < (size if nodes is None else nodes), float),
        "senders": jnp.asarray(edges_Ex3[:, 0]),
        "receivers": jnp.asarray(edges_Ex3[:, 1]),
        "types": jax.nn.one_hot(edges_Ex3[:, 2], types, dtype=float),
    }
    if asked is not None:
        context["asked"] = jnp.asarray(asked, jnp.int32)
    return context


def typed(**more: Any) -> Tree:
    """A graph of five nodes with edges of two types; more as in `context_of`."""
    return context_of(np.random.default_rng(5).normal(size=(5, I)), TYPED, 2, **more)


def made(context: Tree, **options: Any) -> tuple[Cell, Params]:
    """A network of the table, and weights moved off their zeros."""
    cell = graph(I, H, example_context=context, **options)
    key = jax.random.key(1)
    return cell, jax.jit(lambda: with_noise(cell.init(key), 0.1, key))()


def both_ways(pairs: Any) -> np.ndarray:
    """Edges of type 0 in both directions."""
    return np.array([(a, b, 0) for u, v in pairs for a, b in ((u, v), (v, u))], np.int32)


def ring(size: int) -> np.ndarray:
    """The edges of a cycle, in both directions."""
    return both_ways([(v, (v + 1) % size) for v in range(size)])


def adjacency(size: int, edges_Ex3: np.ndarray, kind: int = 0) -> np.ndarray:
    """A[v, u], the number of edges of a type from u to v."""
    matrix = np.zeros((size, size))
    for sender, receiver, type_ in edges_Ex3:
        matrix[receiver, sender] += type_ == kind
    return matrix


def states_as_output() -> Readout:
    """The whole f, node after node."""
    return Readout({}, lambda params, f_VxF, nodes_V, asked_V: f_VxF.reshape(-1))


def linear_network(context: Tree, w_HxH: np.ndarray, **options: Any) -> tuple[Cell, Params]:
    """The network h <- A h W, and its parameters."""
    size, nodes = len(w_HxH), len(context["nodes"])
    cell = graph_network(
        feedforward(size, size, activation="linear"), context["annotations"].shape[1],
        states_as_output(), context, Options(reverse=False, **options),
        output_size=nodes * (size + context["annotations"].shape[1]),
    )  # fmt: skip
    params = dict(cell.init(jax.random.key(0)))
    params["update_w_x"] = jnp.eye(size)
    params["w_message"] = jnp.asarray(w_HxH)[None]
    return cell, params


def batch_of_one(context: Tree) -> Tree:
    """The context with the batch as the first axis."""
    return jax.tree.map(lambda leaf: leaf[None], context)


def states_of(cell: Cell, params: Params, context: Tree) -> State:
    """The states of one example after every step, (T, ...) by leaf."""
    nothing = jnp.zeros((cell.steps, 1, cell.input_size))

    @jax.jit
    def run(params: Params) -> State:
        states = unroll(
            cell, params, nothing, context=batch_of_one(context), keep_states=True
        ).states
        assert states is not None
        return {name: leaf[:, 0] for name, leaf in states.items()}

    found: State = run(params)
    return found


def answer_of(cell: Cell, params: Params, context: Tree) -> Array:
    """The output of one example."""
    nothing = jnp.zeros((cell.steps, 1, cell.input_size))

    @jax.jit
    def run(params: Params) -> Array:
        return unroll(cell, params, nothing, context=batch_of_one(context)).final_BxH[0]

    found: Array = run(params)
    return found


def adjoints_of(cell: Cell, params: Params, context: Tree, weights: Any) -> State:
    """d(weights . output)/d(leaf) after every step, (T, V, ...), of the probed leaves."""
    nothing = jnp.zeros((cell.steps, 1, cell.input_size))
    like = jax.eval_shape(cell.init_state, params)
    slots = {k: jnp.zeros((cell.steps, 1, *like[k].shape)) for k in cell.probed}

    @jax.jit
    def slope(slots: State) -> State:
        def value(slots: State) -> Array:
            probe = Probe(lambda state, slot: {k: state[k] + slot[k] for k in state}, slots)
            run = unroll(cell, params, nothing, context=batch_of_one(context), probe=probe)
            return jnp.sum(jnp.asarray(weights) * run.final_BxH[0])

        found: State = jax.grad(value)(slots)
        return found

    slopes: State = slope(slots)
    return {name: leaf[:, 0] for name, leaf in slopes.items()}
