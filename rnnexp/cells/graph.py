"""Graph networks: the state of every node is updated by a recurrent cell, step by step.

    a_v = messages of the neighbours of v (see `rnnexp.cells.graph_messages`) + b
    h_v <- cell(h_v, a_v)          all nodes at once: one propagation step

Any cell of the table that reads a sequence step by step can be the update. With `gru` it is the
gated graph neural network of Li, Tarlow, Brockschmidt & Zemel 2016, "Gated graph sequence neural
networks"; with `rnn` the plain recurrent one; with `feedforward`, self-loops and the symmetric
normalisation the graph convolution of Kipf & Welling 2017. A node sends what its cell puts out,
which is h_v for most cells. With `residual`, h_v <- h_v + cell(h_v, a_v).

A node begins with its annotation x_v in the first places of its hidden state and zeros in the
others (`padded`, Li et al.), or with W x_v + b (`linear`). Tied steps share all parameters; untied
ones have their own, as the layers of a stack. The answer is that of `rnnexp.cells.graph_readout`.

A `fixed_point` network repeats one and the same step until the states stay as they are, and has
the implicit gradient there (see `rnnexp.core.fixed_point`): Scarselli, Gori, Tsoi, Hagenbuchner &
Monfardini 2009, "The graph neural network model". A fixed point forgets its start, so annotations
enter every step: a_v = ... + V x_v. There is one, and the iteration finds it, if a step is a
contraction; initial kernels are scaled down by `contraction`, and nothing keeps training from
leaving that. The whole iteration is one propagation step of the axis.

The state has the leaves of the update, with the nodes as their first axis. After k steps a node
knows what lies up to k edges away, and dL/dh_v is exactly 0 for nodes farther from the answer than
the steps that remain. Nodes of the padding keep the state with which they begin.

Parameters, with an update of P that reads M = H numbers and puts out S, and K kinds of edges:
P + K S M + M, times the steps if untied; (I + 1) H for a linear start; I M for a fixed point (see
`rnnexp.cells.graph_parameters`); the readout's.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp

from rnnexp.cells import CELLS
from rnnexp.cells.base import CONTEXT, Cell, as_they_are, no_matrices
from rnnexp.cells.graph_messages import messages, prepared_edges
from rnnexp.cells.graph_parameters import (
    Network,
    Options,
    check_network,
    count_parameters,
    init_network,
    of_first_step,
    of_step,
    prepare_network,
)
from rnnexp.cells.graph_readout import Readout, readout_of
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.fixed_point import fixed_point as solved
from rnnexp.core.registry import READING_MODES
from rnnexp.core.types import Array, Key, Params, State, Tree

NOTE = (
    "its states are a fixed point, within a tolerance of {} or after {} iterations; the gradient "
    "is that of the fixed point, and right only if the iteration converges"
)
LAYER, MESSAGE = "layer", "message"
"""Leaves besides the update's: the steps so far, of untied steps; what each node received last, of
an update whose output is more than its hidden state."""


def graph(
    input_size: int,
    hidden_size: int,
    *,
    node_cell: str = "gru",
    steps: int = 5,
    tied: bool = True,
    aggregation: str = "sum",
    normalisation: str = "none",
    reverse: bool = True,
    self_loops: bool = False,
    residual: bool = False,
    start: str = "padded",
    fixed_point: bool = False,
    tolerance: float = 1e-6,
    contraction: float = 0.5,
    task_mode: str = "graph_to_one",
    output_size: int = 1,
    example_context: Tree = None,
) -> Cell:
    """A graph network whose nodes have annotations of `input_size` numbers.

    Args:
      node_cell: the cell that updates a node, with its default options.
      steps: propagation steps.
      tied: whether all steps have the same parameters.
      aggregation: sum, mean or max of a node's messages.
      normalisation: none or, of sums, symmetric.
      reverse: whether messages also go against the edges, with weights of their own.
      self_loops: whether every node sends to itself, as by an edge of the first type.
      residual: add the old hidden state of every node to the new one.
      start: of a node's hidden state, its annotation padded or by a linear layer.
      fixed_point: repeat one step until the states no longer change, with the implicit gradient;
        `steps` are then the most iterations.
      tolerance: of a fixed point, the largest change that counts as none.
      contraction: of a fixed point, factor of the initial kernels of the update and the messages.
      task_mode: the mode of the task.
      output_size: the outputs of the task.
      example_context: shapes of the graph of an example.

    Raises `UsageError` for a bad option.
    """
    if example_context is None or "senders" not in example_context:
        raise UsageError("cell 'graph' needs the graphs of a task with a graph_ mode")
    update, sizes = update_cell(node_cell, hidden_size), example_context
    features = update.output_size + input_size
    readout = readout_of(task_mode, features, hidden_size, output_size, sizes)
    options = Options(
        steps=steps, tied=tied, aggregation=aggregation, normalisation=normalisation,
        reverse=reverse, self_loops=self_loops, residual=residual, start=start,
        fixed_point=fixed_point, tolerance=tolerance, contraction=contraction,
    )  # fmt: skip
    return graph_network(update, input_size, readout, sizes, options, output_size=output_size)


def update_cell(name: str, size: int) -> Cell:
    """The cell of that name as an update, `size` its inputs and hidden units.

    Raises `UsageError` for a cell that does not read a sequence step by step.
    """
    reads = [n for n in CELLS.names() if {*READING_MODES} <= {*CELLS.entry(n).modes}]
    require_choice("node_cell", name, reads)
    cell: Cell = CELLS.entry(name).factory()(size, size)
    if cell.context is not None or cell.steps or cell.feedback is not None:
        raise UsageError(
            f"node_cell={name!r} reads more than its input and its state; it cannot update a node"
        )
    return cell


def graph_network(
    update: Cell, input_size: int, readout: Readout, graph: Tree, options: Options, *,
    output_size: int,
) -> Cell:  # fmt: skip
    """A graph network with that cell as the update; see `graph`.

    Args:
      graph: shapes of the graph of an example.
    """
    nodes, types = graph["nodes"].shape[0], graph["types"].shape[1]
    network = Network(update, input_size, nodes, types * (1 + options.reverse), options)
    check_network(network)

    def init(key: Key) -> Params:
        key_network, key_readout = jax.random.split(key)
        return {**init_network(network, key_network), **readout.init(key_readout)}

    of_readout = sum(map(math.prod, readout.shapes.values()))
    prepares, fixed = update.prepare is not as_they_are, options.fixed_point
    return Cell(
        name="graph",
        input_size=input_size,
        output_size=output_size,
        init=init,
        init_state=partial(init_state, network),
        transition=partial(transition, network),
        output=partial(output, network, readout),
        prepare=partial(prepare_network, network) if prepares else as_they_are,
        recurrent_matrices=no_matrices,  # of a node's update, not of the whole state
        counters=(*network.update_counters, *(() if options.tied else (LAYER,))),
        parameter_count=count_parameters(network) + of_readout,
        hidden=update.hidden,
        probed=update.probed,
        is_network=True,
        axis="propagation",
        steps=1 if fixed else options.steps,
        context=partial(context, network),
        start=partial(start_state, network),
        note=NOTE.format(options.tolerance, options.steps) if fixed else "",
    )


def context(network: Network, params: Params, example: Tree) -> dict[str, Array]:
    """`Cell.context`: the edges that send messages, the annotations, the nodes that are there."""
    dtype, options = params["b_message"].dtype, network.options
    found = prepared_edges(
        example, dtype, reverse=options.reverse, self_loops=options.self_loops,
        aggregation=options.aggregation, normalisation=options.normalisation,
    )  # fmt: skip
    nodes_V = example["nodes"].astype(dtype)
    known_VxI = jnp.where(nodes_V[:, None] > 0, example["annotations"].astype(dtype), 0.0)
    found |= {"annotations": known_VxI, "nodes": nodes_V}
    if "asked" in example:
        found["asked"] = jax.nn.one_hot(example["asked"], network.nodes, dtype=dtype)
    return found


def init_state(network: Network, params: Params) -> State:
    """`Cell.init_state`: the update's, of every node."""
    one = network.update.init_state(of_first_step(network, params))
    dtype = params["b_message"].dtype
    state = {k: jnp.broadcast_to(v, (network.nodes, *v.shape)) for k, v in one.items()}
    if not network.sends_hidden:
        state[MESSAGE] = jnp.zeros((network.nodes, network.update.input_size), dtype)
    return state if network.options.tied else {**state, LAYER: jnp.zeros((), dtype)}


def start_state(network: Network, params: Params) -> State:
    """`Cell.start`: the annotations in the hidden states; nothing, of a fixed point."""
    state, hidden = init_state(network, params), network.update.hidden
    if network.options.fixed_point:
        return state
    x_VxI, placed = params[CONTEXT]["annotations"], state[hidden].reshape(network.nodes, -1)
    if network.options.start == "linear":
        placed = placed + x_VxI @ params["w_start"] + params["b_start"][None]
    else:
        placed = placed.at[:, : network.input_size].add(x_VxI)
    return {**state, hidden: placed.reshape(state[hidden].shape)}


def sent(network: Network, params: Params, state: State) -> Array:
    """What each node's cell puts out, (V, S)."""
    update = network.update
    if network.sends_hidden:
        return state[update.hidden]
    last = None if network.options.tied else jnp.maximum(state[LAYER] - 1, 0)
    own = of_step(params, last)[0]
    put_out: Array = jax.vmap(update.output, (None, 0, 0))(
        own, _of_update(network, state), state[MESSAGE]
    )
    return put_out


def propagate(network: Network, params: Params, state: State) -> State:
    """One propagation step; nodes of the padding keep their state."""
    update, options, seen = network.update, network.options, params[CONTEXT]
    own, w_KxSxM, b_M = of_step(params, None if options.tied else state[LAYER])
    sent_VxS = sent(network, params, state)
    message_VxM = messages(sent_VxS, w_KxSxM, seen, options.aggregation) + b_M[None]
    if options.fixed_point:
        message_VxM = message_VxM + seen["annotations"] @ params["w_annotation"]
    of_update = _of_update(network, state)
    new = jax.vmap(update.transition, (None, 0, 0))(own, of_update, message_VxM)
    if options.residual:
        new = {**new, update.hidden: new[update.hidden] + state[update.hidden]}
    if not network.sends_hidden:
        new = {**new, MESSAGE: message_VxM}
    new = {name: _hold(seen["nodes"], leaf, state[name]) for name, leaf in new.items()}
    return new if options.tied else {**new, LAYER: state[LAYER] + 1.0}


def transition(network: Network, params: Params, state: State, x_I: Array) -> State:
    """`Cell.transition`: one step, or all of them up to the fixed point."""
    del x_I
    options = network.options
    if not options.fixed_point:
        return propagate(network, params, state)
    found: State = solved(
        partial(propagate, network, params), state, tolerance=options.tolerance, most=options.steps
    )
    return found


def output(network: Network, readout: Readout, params: Params, state: State, x_I: Array) -> Array:
    """`Cell.output`: the readout of the states and annotations of all nodes."""
    del x_I
    seen = params[CONTEXT]
    f_VxF = jnp.concatenate([sent(network, params, state), seen["annotations"]], -1)
    return readout.outputs(params, f_VxF, seen["nodes"], seen.get("asked"))


def _of_update(network: Network, state: State) -> State:
    """The leaves of the update."""
    return {name: state[name] for name in network.update_state}


def _hold(nodes_V: Array, new: Array, old: Array) -> Array:
    """`new`, but `old` at the nodes of the padding."""
    return jnp.where(nodes_V.reshape(-1, *(1,) * (new.ndim - 1)) > 0, new, old)
