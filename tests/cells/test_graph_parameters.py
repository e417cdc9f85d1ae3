"""Parameters of graph networks: steps with parameters of their own, and options that do not go."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.base import CONTEXT
from rnnexp.cells.graph import graph, update_cell
from rnnexp.cells.graph_messages import messages, prepared_edges
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params, State
from tests.helpers.graphs import H, I, made, states_of, typed

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("update", ["rnn", "antisymmetric"])
def test_untied_steps_are_steps_with_parameters_of_their_own(update: str) -> None:
    context = typed()
    cell, params = made(context, node_cell=update, tied=False, steps=3, output_size=2)
    tied = graph(I, H, example_context=context, node_cell=update, steps=1, output_size=2)
    assert cell.parameter_count > 2 * tied.parameter_count
    own = ("update_", "w_message", "b_message")

    @jax.jit
    def by_hand(params: Params) -> list[Array]:
        state, states = None, []
        for t in range(3):
            at_t = {k: v[t] if k.startswith(own) else v for k, v in params.items()}
            at_t = {**at_t, CONTEXT: tied.context(at_t, context)}  # type: ignore[misc]
            state = tied.start(at_t) if state is None else state  # type: ignore[misc]
            state = tied.transition(at_t, state, jnp.zeros(I))
            states.append(state["h"])
        return states

    found = states_of(cell, params, context)
    np.testing.assert_allclose(found["h"], by_hand(params), rtol=1e-12, atol=1e-14)
    assert float(found["layer"][-1]) == 3


def test_a_node_sends_what_its_last_step_puts_out() -> None:
    """Of an update whose output has parameters, the message of step t is made by those of t - 1."""
    context = typed()
    cell, params = made(context, node_cell="lru", tied=False, steps=3, output_size=2)
    update = update_cell("lru", H)
    edges = prepared_edges(
        context, jnp.dtype("float64"), reverse=True, self_loops=False, aggregation="sum",
        normalisation="none",
    )  # fmt: skip
    put_out = jax.vmap(update.output, (None, 0, 0))
    step = jax.vmap(update.transition, (None, 0, 0))

    @jax.jit
    def by_hand(params: Params) -> list[State]:
        whole = {**params, CONTEXT: cell.context(params, context)}  # type: ignore[misc]
        begin = cell.start(whole)  # type: ignore[misc]
        message = begin["message"]
        states: list[State] = []
        state = {name: begin[name] for name in update.init_state(own_at(params, 0))}
        for t in range(3):
            sent = put_out(own_at(params, max(t - 1, 0)), state, message)
            message = messages(sent, params["w_message"][t], edges, "sum")
            message = message + params["b_message"][t][None]
            state = dict(step(own_at(params, t), state, message))
            states.append(state)
        return states

    found = states_of(cell, params, context)
    for t, state in enumerate(by_hand(params)):
        for name, leaf in state.items():
            np.testing.assert_allclose(found[name][t], leaf, rtol=1e-12, atol=1e-14)


def own_at(params: Params, step: int) -> Params:
    """The parameters of the update of one step."""
    own = {k.removeprefix("update_"): v for k, v in params.items() if k.startswith("update_")}
    return {name: leaf[step] for name, leaf in own.items()}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"node_cell": "hopfield"}, "unknown node_cell 'hopfield'.* Known: antisymmetric"),
        ({"node_cell": "narx"}, "unknown node_cell 'narx'"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"aggregation": "median"}, "Known: max, mean, sum"),
        ({"normalisation": "symmetric", "aggregation": "mean"}, "goes with aggregation='sum'"),
        ({"start": "zero"}, "unknown start 'zero'"),
        ({"fixed_point": True, "tied": False}, "set cell.tied=True and cell.start='padded'"),
        ({"fixed_point": True, "tolerance": 0.0}, "must be positive, not 0.0 and 0.5"),
        ({"fixed_point": True, "node_cell": "clockwork"}, "'clockwork' counts its steps"),
        ({"task_mode": "synchronous"}, "Known: graph_to_node, graph_to_nodes, graph_to_one"),
        ({"task_mode": "graph_to_node", "output_size": 3}, "as many outputs as nodes, 5, not 3"),
        ({"task_mode": "graph_to_nodes", "output_size": 7}, "each of its 5 nodes, a multiple"),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        graph(I, H, example_context=typed(), **options)


def test_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="needs the graphs of a task"):
        graph(I, H)
    with pytest.raises(UsageError, match="annotations of 2 numbers do not fit into 1 hidden units"):
        graph(I, 1, example_context=typed())
    assert graph(I, 1, example_context=typed(), start="linear").hidden == "h"
