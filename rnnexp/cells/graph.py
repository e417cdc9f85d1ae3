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
P + K S M + M, times the steps if untied; (I + 1) H for a linear start; I M for a fixed point; the
readout's.
"""

import math

import jax
import jax.numpy as jnp

from rnnexp.cells import CELLS
from rnnexp.cells.base import CONTEXT, Cell, as_they_are, hidden_output, no_matrices
from rnnexp.cells.graph_messages import check_aggregation, messages, prepared_edges
from rnnexp.cells.graph_readout import Readout, readout_of
from rnnexp.cells.initializers import glorot_uniform
from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.fixed_point import fixed_point as solved
from rnnexp.core.registry import READING_MODES
from rnnexp.core.types import Array, Key, Params, State, Tree

STARTS = ("padded", "linear")
NOTE = (
    "its states are a fixed point, within a tolerance of {} or after {} iterations; the gradient "
    "is that of the fixed point, and right only if the iteration converges"
)
UPDATE = "update_"
"""Begins the names of the update's parameters."""
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
    cell, graph = update_cell(node_cell, hidden_size), example_context
    features = cell.output_size + input_size
    return graph_network(
        cell, input_size, readout_of(task_mode, features, hidden_size, output_size, graph), graph,
        output_size=output_size, steps=steps, tied=tied, aggregation=aggregation,
        normalisation=normalisation, reverse=reverse, self_loops=self_loops, residual=residual,
        start=start, fixed_point=fixed_point, tolerance=tolerance, contraction=contraction,
    )  # fmt: skip


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
    update: Cell, input_size: int, readout: Readout, graph: Tree, *, output_size: int,
    steps: int = 5, tied: bool = True, aggregation: str = "sum", normalisation: str = "none",
    reverse: bool = True, self_loops: bool = False, residual: bool = False, start: str = "padded",
    fixed_point: bool = False, tolerance: float = 1e-6, contraction: float = 0.5,
) -> Cell:  # fmt: skip
    """A graph network with that cell as the update; see `graph`.

    Args:
      graph: shapes of the graph of an example.
    """
    check_aggregation(aggregation, normalisation)
    require_choice("start", start, STARTS)
    require_at_least(1, steps=steps)
    if fixed_point:
        _check_fixed_point(tied, start, tolerance, contraction)
    nodes, types = graph["nodes"].shape[0], graph["types"].shape[1]
    sizes = _Sizes(
        update, input_size, nodes, types * (1 + reverse), steps, tied, start,
        contraction if fixed_point else None,
    )  # fmt: skip
    if fixed_point and sizes.update_counters:
        raise UsageError(f"the cell {update.name!r} counts its steps; it has no fixed point")
    sends_hidden = update.output is hidden_output
    hidden = update.hidden

    def init(key: Key) -> Params:
        key_network, key_readout = jax.random.split(key)
        return {**sizes.init(key_network), **readout.init(key_readout)}

    def context(params: Params, example: Tree) -> dict[str, Array]:
        dtype = params["b_message"].dtype
        found = prepared_edges(
            example, dtype, reverse=reverse, self_loops=self_loops, aggregation=aggregation,
            normalisation=normalisation,
        )  # fmt: skip
        nodes_V = example["nodes"].astype(dtype)
        known_VxI = jnp.where(nodes_V[:, None] > 0, example["annotations"].astype(dtype), 0.0)
        found |= {"annotations": known_VxI, "nodes": nodes_V}
        if "asked" in example:
            found["asked"] = jax.nn.one_hot(example["asked"], nodes, dtype=dtype)
        return found

    def begin(params: Params) -> State:
        x_VxI, state = params[CONTEXT]["annotations"], sizes.init_state(params)
        if fixed_point:
            return state
        placed = state[hidden].reshape(nodes, -1)
        if start == "linear":
            placed = placed + x_VxI @ params["w_start"] + params["b_start"][None]
        else:
            placed = placed.at[:, :input_size].add(x_VxI)
        return {**state, hidden: placed.reshape(state[hidden].shape)}

    def sent(params: Params, state: State) -> Array:
        """What each node's cell puts out, (V, S)."""
        if sends_hidden:
            return state[hidden]
        own, of_update = sizes.parameters(params, state, back=1)[0], sizes.of_update(state)
        put_out: Array = jax.vmap(update.output, (None, 0, 0))(own, of_update, state[MESSAGE])
        return put_out

    def once(params: Params, state: State) -> State:
        """One propagation step."""
        own, w_KxSxM, b_M = sizes.parameters(params, state)
        seen = params[CONTEXT]
        message_VxM = messages(sent(params, state), w_KxSxM, seen, aggregation) + b_M[None]
        if fixed_point:
            message_VxM = message_VxM + seen["annotations"] @ params["w_annotation"]
        of_update = sizes.of_update(state)
        new = jax.vmap(update.transition, (None, 0, 0))(own, of_update, message_VxM)
        if residual:
            new = {**new, hidden: new[hidden] + state[hidden]}
        if not sends_hidden:
            new = {**new, MESSAGE: message_VxM}
        new = {name: _hold(seen["nodes"], leaf, state[name]) for name, leaf in new.items()}
        return new if tied else {**new, LAYER: state[LAYER] + 1.0}

    def transition(params: Params, state: State, x_I: Array) -> State:
        del x_I
        if not fixed_point:
            return once(params, state)
        found: State = solved(
            lambda state: once(params, state), state, tolerance=tolerance, most=steps
        )
        return found

    def output(params: Params, state: State, x_I: Array) -> Array:
        del x_I
        seen = params[CONTEXT]
        f_VxF = jnp.concatenate([sent(params, state), seen["annotations"]], -1)
        return readout.outputs(params, f_VxF, seen["nodes"], seen.get("asked"))

    of_readout = sum(map(math.prod, readout.shapes.values()))
    return Cell(
        name="graph",
        input_size=input_size,
        output_size=output_size,
        init=init,
        init_state=sizes.init_state,
        transition=transition,
        output=output,
        prepare=sizes.prepare if update.prepare is not as_they_are else as_they_are,
        recurrent_matrices=no_matrices,  # of a node's update, not of the whole state
        counters=sizes.counters(),
        parameter_count=sizes.parameter_count() + of_readout,
        hidden=hidden,
        probed=update.probed,
        is_network=True,
        axis="propagation",
        steps=1 if fixed_point else steps,
        context=context,
        start=begin,
        note=NOTE.format(tolerance, steps) if fixed_point else "",
    )


def _check_fixed_point(tied: bool, start: str, tolerance: float, contraction: float) -> None:
    """Raise `UsageError` for an option that a fixed point cannot have."""
    if not tied or start != "padded":
        raise UsageError(
            "fixed_point repeats one step and forgets its start; set cell.tied=True and "
            "cell.start='padded'"
        )
    if tolerance <= 0 or contraction <= 0:
        raise UsageError(
            f"tolerance and contraction must be positive, not {tolerance} and {contraction}"
        )


class _Sizes:
    """The parameters and the state of a network, by the sizes of its parts."""

    def __init__(
        self, update: Cell, input_size: int, nodes: int, kinds: int, steps: int, tied: bool,
        start: str, contraction: float | None,
    ):  # fmt: skip
        self.update, self.nodes, self.kinds, self.steps = update, nodes, kinds, steps
        self.tied, self.start, self.input_size = tied, start, input_size
        self.contraction = contraction  # None: the network has no fixed point
        params = jax.eval_shape(update.init, jax.random.key(0))
        like = jax.eval_shape(update.init_state, params)
        self.leaves, self.hidden_size = tuple(like), math.prod(like[update.hidden].shape)
        self.update_counters = update.counters_of(params)
        if start == "padded" and input_size > self.hidden_size and contraction is None:
            raise UsageError(
                f"annotations of {input_size} numbers do not fit into {self.hidden_size} hidden "
                f"units; set cell.hidden_size={input_size} or more, or cell.start='linear'"
            )

    def init(self, key: Key) -> Params:
        """The parameters without the readout's: Glorot uniform kernels, kind by kind, biases 0."""
        key_steps, key_start = jax.random.split(key)
        if self.tied:
            params = self._init_step(key_steps)
        else:
            params = jax.vmap(self._init_step)(jax.random.split(key_steps, self.steps))
        if self.contraction is not None:
            scaled = {k: v * self.contraction if v.ndim > 1 else v for k, v in params.items()}
            shape = (self.input_size, self.update.input_size)
            return {**scaled, "w_annotation": glorot_uniform(key_start, shape)}
        if self.start == "linear":
            shape = (self.input_size, self.hidden_size)
            params |= {
                "w_start": glorot_uniform(key_start, shape), "b_start": jnp.zeros(shape[1])
            }  # fmt: skip
        return params

    def _init_step(self, key: Key) -> dict[str, Array]:
        key_update, key_message = jax.random.split(key)
        shape = (self.update.output_size, self.update.input_size)
        keys = jax.random.split(key_message, self.kinds)
        own = {UPDATE + name: leaf for name, leaf in self.update.init(key_update).items()}
        return {
            **own,
            "w_message": jax.vmap(lambda key: glorot_uniform(key, shape))(keys),
            "b_message": jnp.zeros(shape[1]),
        }

    def parameter_count(self) -> int:
        """Of what `init` gives."""
        sent, read = self.update.output_size, self.update.input_size
        step = self.update.parameter_count + self.kinds * sent * read + read
        begin = (self.input_size + 1) * self.hidden_size if self.start == "linear" else 0
        begin += 0 if self.contraction is None else self.input_size * read
        return step * (1 if self.tied else self.steps) + begin

    def prepare(self, params: Params) -> Params:
        """`Cell.prepare`: the update's, of every step."""
        prepare = self.update.prepare if self.tied else jax.vmap(self.update.prepare)
        own = prepare(_of_update(params))
        return {**params, **{UPDATE + name: leaf for name, leaf in own.items()}}

    def init_state(self, params: Params) -> State:
        """`Cell.init_state`: the update's, of every node."""
        own = _of_update(params)
        if not self.tied:
            own = {name: leaf[0] for name, leaf in own.items()}
        one = self.update.init_state(own)
        dtype = params["b_message"].dtype
        state = {k: jnp.broadcast_to(v, (self.nodes, *v.shape)) for k, v in one.items()}
        if self.update.output is not hidden_output:
            state[MESSAGE] = jnp.zeros((self.nodes, self.update.input_size), dtype)
        return state if self.tied else {**state, LAYER: jnp.zeros((), dtype)}

    def counters(self) -> tuple[str, ...]:
        """`Cell.counters`."""
        return self.update_counters if self.tied else (*self.update_counters, LAYER)

    def of_update(self, state: State) -> State:
        """The leaves of the update."""
        return {name: state[name] for name in self.leaves}

    def parameters(
        self, params: Params, state: State, *, back: int = 0
    ) -> tuple[Params, Array, Array]:
        """The update's parameters, W (K, S, M) and b (M,) of the next step, or of so many steps
        before."""
        own, w, b = _of_update(params), params["w_message"], params["b_message"]
        if self.tied:
            return own, w, b
        number = jnp.maximum(state[LAYER].astype(jnp.int32) - back, 0)
        chosen: tuple[Params, Array, Array] = jax.tree.map(
            lambda leaf: jax.lax.dynamic_index_in_dim(leaf, number, keepdims=False), (own, w, b)
        )
        return chosen


def _of_update(params: Params) -> dict[str, Array]:
    """The update's parameters by its own names."""
    of = [name for name in params if name.startswith(UPDATE)]
    return {name.removeprefix(UPDATE): params[name] for name in of}


def _hold(nodes_V: Array, new: Array, old: Array) -> Array:
    """`new`, but `old` at the nodes of the padding."""
    return jnp.where(nodes_V.reshape(-1, *(1,) * (new.ndim - 1)) > 0, new, old)
