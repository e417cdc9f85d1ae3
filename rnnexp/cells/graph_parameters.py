"""The sizes, the options and the parameters of a graph network, without its readout.

| parameter | shape |
| --- | --- |
| `update_` and a name of the update's | as in the update |
| `w_message`, `b_message` | (K, S, M), one matrix a kind of edge; (M,) |
| `w_start`, `b_start` | (I, H); (H,), of a linear start |
| `w_annotation` | (I, M), of a fixed point |

An update has P parameters, reads M numbers and puts out S. The first two rows are those of a step;
untied steps have them with the steps as their first axis.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell, hidden_output
from rnnexp.cells.graph_messages import check_aggregation
from rnnexp.cells.initializers import glorot_uniform
from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Key, Params, State

STARTS = ("padded", "linear")
UPDATE = "update_"
"""Begins the names of the update's parameters."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `rnnexp.cells.graph.graph`, which explains them, but for the update."""

    steps: int = 5
    tied: bool = True
    aggregation: str = "sum"
    normalisation: str = "none"
    reverse: bool = True
    self_loops: bool = False
    residual: bool = False
    start: str = "padded"
    fixed_point: bool = False
    tolerance: float = 1e-6
    contraction: float = 0.5


@dataclass(frozen=True)
class Network:
    """A graph network of fixed sizes.

    Attributes:
      update: the cell that updates a node.
      input_size: I, the numbers of an annotation.
      nodes, kinds: V and K of its graphs.
    """

    update: Cell
    input_size: int
    nodes: int
    kinds: int
    options: Options

    @property
    def sends_hidden(self) -> bool:
        """Whether a node sends its hidden state as it is."""
        return self.update.output is hidden_output

    @cached_property
    def _update_params(self) -> Params:
        """Shapes of the update's parameters."""
        params: Params = jax.eval_shape(self.update.init, jax.random.key(0))
        return params

    @cached_property
    def update_state(self) -> State:
        """Shapes of the update's state."""
        state: State = jax.eval_shape(self.update.init_state, self._update_params)
        return state

    @property
    def hidden_size(self) -> int:
        """H, all numbers of a node's hidden state."""
        return math.prod(self.update_state[self.update.hidden].shape)

    @property
    def update_counters(self) -> tuple[str, ...]:
        """The leaves of the update's state that only count steps."""
        return self.update.counters_of(self._update_params)


def check_network(network: Network) -> None:
    """Raise `UsageError` for options that are bad, or that do not go together."""
    options, update = network.options, network.update
    check_aggregation(options.aggregation, options.normalisation)
    require_choice("start", options.start, STARTS)
    require_at_least(1, steps=options.steps)
    if options.fixed_point:
        _check_fixed_point(options)
        if network.update_counters:
            raise UsageError(f"the cell {update.name!r} counts its steps; it has no fixed point")
    elif options.start == "padded" and network.input_size > network.hidden_size:
        raise UsageError(
            f"annotations of {network.input_size} numbers do not fit into {network.hidden_size} "
            f"hidden units; set cell.hidden_size={network.input_size} or more, or "
            "cell.start='linear'"
        )


def _check_fixed_point(options: Options) -> None:
    if not options.tied or options.start != "padded":
        raise UsageError(
            "fixed_point repeats one step and forgets its start; set cell.tied=True and "
            "cell.start='padded'"
        )
    if options.tolerance <= 0 or options.contraction <= 0:
        raise UsageError(
            "tolerance and contraction must be positive, not "
            f"{options.tolerance} and {options.contraction}"
        )


def init_network(network: Network, key: Key) -> Params:
    """Glorot uniform kernels, kind by kind, biases 0, and the update's own; a fixed point's
    kernels are scaled."""
    key_steps, key_start = jax.random.split(key)
    options, update = network.options, network.update
    if options.tied:
        params = _init_step(network, key_steps)
    else:
        keys = jax.random.split(key_steps, options.steps)
        params = jax.vmap(lambda key: _init_step(network, key))(keys)
    if options.fixed_point:
        scaled = {k: v * options.contraction if v.ndim > 1 else v for k, v in params.items()}
        into_messages = glorot_uniform(key_start, (network.input_size, update.input_size))
        return {**scaled, "w_annotation": into_messages}
    if options.start == "linear":
        shape = (network.input_size, network.hidden_size)
        params |= {"w_start": glorot_uniform(key_start, shape), "b_start": jnp.zeros(shape[1])}
    return params


def _init_step(network: Network, key: Key) -> dict[str, Array]:
    """The parameters of one step."""
    update = network.update
    key_update, key_message = jax.random.split(key)
    shape = (update.output_size, update.input_size)
    keys = jax.random.split(key_message, network.kinds)
    own = {UPDATE + name: leaf for name, leaf in update.init(key_update).items()}
    return {
        **own,
        "w_message": jax.vmap(lambda key: glorot_uniform(key, shape))(keys),
        "b_message": jnp.zeros(shape[1]),
    }


def count_parameters(network: Network) -> int:
    """The trainable scalars of `init_network`, by the closed formula."""
    options, update = network.options, network.update
    sent, read = update.output_size, update.input_size
    step = update.parameter_count + network.kinds * sent * read + read
    begin = (network.input_size + 1) * network.hidden_size if options.start == "linear" else 0
    begin += network.input_size * read if options.fixed_point else 0
    return step * (1 if options.tied else options.steps) + begin


def prepare_network(network: Network, params: Params) -> Params:
    """`Cell.prepare`: the update's, of every step."""
    prepare = network.update.prepare
    own = (prepare if network.options.tied else jax.vmap(prepare))(_of_update(params))
    return {**params, **{UPDATE + name: leaf for name, leaf in own.items()}}


def of_first_step(network: Network, params: Params) -> Params:
    """The update's parameters at the first step, by its own names."""
    own = _of_update(params)
    return own if network.options.tied else {name: leaf[0] for name, leaf in own.items()}


def of_step(params: Params, number: Array | None) -> tuple[Params, Array, Array]:
    """The update's parameters by its own names, W (K, S, M) and b (M,) of a step.

    Args:
      number: of the step, a real number (); None for tied steps.
    """
    every = _of_update(params), params["w_message"], params["b_message"]
    if number is None:
        return every
    place = number.astype(jnp.int32)
    chosen: tuple[Params, Array, Array] = jax.tree.map(
        lambda leaf: jax.lax.dynamic_index_in_dim(leaf, place, keepdims=False), every
    )
    return chosen


def _of_update(params: Params) -> dict[str, Array]:
    of = [name for name in params if name.startswith(UPDATE)]
    return {name.removeprefix(UPDATE): params[name] for name in of}
