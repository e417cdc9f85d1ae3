"""One step of a unit as a function of its parameters alone, along a recorded trajectory.

`lag_gradients` differentiates it. The state before the step and its input are held fixed, so the
derivative is that of the step's own copy of the parameters.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import CONTEXT, Cell, hidden_output
from rnnexp.core.masking import states_before
from rnnexp.core.types import Array, Batch, Params, State, Tree
from rnnexp.gradflow.position_losses import Model, spans, stacks, with_time_loop
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.recurrent import START, attribute
from rnnexp.models.stack import Unit, unit_hooks
from rnnexp.models.structure import Structure
from rnnexp.scan.step import hooked, over_batch, prepare_batch
from rnnexp.scan.unroll import Trajectory

OUTPUT = "_output"
"""A leaf, always zero, that is added to a cell's output: its adjoint is dL/dy_t."""


class Sums(NamedTuple):
    """A unit's parts by bins of lags, (D, ...): of its prepared parameters and initial state."""

    prepared: Params
    start: State


def with_output_leaf(cell: Cell) -> Cell:
    """The cell with the leaf `OUTPUT`, unless its output is its hidden state."""
    if cell.output is hidden_output:
        return cell

    def own(state: State) -> State:
        return {leaf: value for leaf, value in state.items() if leaf != OUTPUT}

    def init_state(params: Params) -> State:
        state = cell.init_state(params)
        return {**state, OUTPUT: jnp.zeros(cell.output_size, state[cell.hidden].dtype)}

    def transition(params: Params, state: State, x_I: Array) -> State:
        new = cell.transition(params, own(state), x_I)
        return {**new, OUTPUT: jnp.zeros_like(state[OUTPUT])}

    def output(params: Params, state: State, x_I: Array) -> Array:
        return cell.output(params, own(state), x_I) + state[OUTPUT]

    def start(params: Params) -> State:
        assert cell.start is not None
        started = cell.start(params)
        return {**started, OUTPUT: jnp.zeros(cell.output_size, started[cell.hidden].dtype)}

    return dataclasses.replace(
        cell, init_state=init_state, transition=transition, output=output, states=None,
        kernel=None, start=None if cell.start is None else start,
    )  # fmt: skip


def instrumented(model: Model) -> Model:
    """A copy of a model whose cells' outputs can be probed.

    It scans step by step: other paths cannot probe every leaf.
    """
    copy = with_time_loop(
        model, lambda loop: loop._replace(associative=False, kernel=False, newton="")
    )
    for stack in stacks(copy):
        for layer in stack.layers:
            layer.cell = with_output_leaf(layer.cell)
    return copy


def whole_slots(model: Model, batch: Batch) -> list[State]:
    """Zeros for probes on every leaf of the states that has derivatives, (T, B, ...)."""
    return [
        _zeros(unit, (span.steps, batch.inputs_TxBxI.shape[1]))
        for unit, span in zip(model.units(), spans(model, batch), strict=True)
    ]


def empty_sums(unit: Unit, count: int) -> Sums:
    """Zeros of a unit's parts, for so many bins."""
    prepared = jax.eval_shape(unit.layer.cell.prepare, unit.layer.params())
    zeros = {k: jnp.zeros((count, *v.shape), v.dtype) for k, v in prepared.items()}
    return Sums(zeros, _zeros(unit, (count,)))


def _zeros(unit: Unit, leading: tuple[int, ...]) -> State:
    """Zeros of a state's leaves with derivatives, with leading axes."""
    state = unit.layer.cell.init_state(unit.layer.params())
    return {
        leaf: jnp.zeros((*leading, *value.shape), value.dtype)
        for leaf, value in state.items()
        if jnp.issubdtype(value.dtype, jnp.floating)
    }


Local = Callable[[Params, State, State, Array, Array], State]
"""`(prepared params, state before, state after, x_BxI, t) -> state` after the step, with the
output of the given state after under `OUTPUT`."""


def local_step(cell: Cell, structure: Structure, taught_TxBxO: Array | None) -> Local:
    """A step of an instrumented cell, with the stack's hooks in evaluation."""
    hooks = unit_hooks(structure, cell, ForwardOptions(taught_TxBxO=taught_TxBxO))
    transition = hooked(over_batch(cell.transition), hooks)
    output = over_batch(cell.output)

    def step(params: Params, old: State, after: State, x_BxI: Array, t: Array) -> State:
        new = transition(params, old, x_BxI, t)
        return {**new, OUTPUT: output(params, after, x_BxI)} if OUTPUT in new else new

    return step


def step_vjps(
    step: Local,
    params: Params,
    trajectory: Trajectory,
    adjoints: State,
    bins_WxT: Array,
    count: int,
    *,
    by_example: bool = False,
) -> Sums:
    """Vector-Jacobian products of all steps, summed over time and examples, by bin.

    Args:
      params: prepared.
      adjoints, bins_WxT: as in `Windows`, summed over outputs; (W, T + 1, ...) by leaf, and which
        of the `count` bins each belongs to.
      by_example: keep those of the initial state by example, (D, B, ...).
    """

    def probed(params: Params, row: StepRow) -> State:
        new = step(params, row.old, row.after, row.x_BxI, row.t)
        return {leaf: new[leaf] for leaf in adjoints}

    steps_T = jnp.arange(trajectory.inputs_TxBxI.shape[0], dtype=jnp.int32)
    before = states_before(trajectory.start, trajectory.states)
    rows = StepRow(before, trajectory.states, trajectory.inputs_TxBxI, steps_T)
    by_steps = {leaf: jnp.moveaxis(value[:, 1:], 1, 0) for leaf, value in adjoints.items()}
    prepared = _by_params(probed, params, rows, by_steps, bins_WxT[:, 1:].T, count)
    first: StepRow = jax.tree.map(lambda x: x[0], rows)
    _, vjp = jax.vjp(lambda old: probed(params, first._replace(old=old)), first.old)
    (carried,) = jax.vmap(vjp)({leaf: value[:, 0] for leaf, value in adjoints.items()})
    if not by_example:
        carried = {leaf: jnp.sum(value, 1) for leaf, value in carried.items()}
    start = {
        leaf: jnp.zeros((count, *value.shape[1:]), value.dtype).at[bins_WxT[:, 0]].add(value)
        for leaf, value in carried.items()
        if leaf in adjoints
    }
    return Sums(prepared, start)


def through_context(cell: Cell, params: Params, context: Tree, sums: Sums) -> Sums:
    """Parts with what the cell's own parameters contribute through the context.

    Args:
      params: the cell's own.
      sums: of prepared parameters with the context; those of the initial state are by example
        if the context determines it.
    """
    if cell.context is None:
        return sums
    prepared = cell.prepare(params)
    to_start = {} if cell.start is None else sums.start

    def made(prepared: Params) -> tuple[Tree, State]:
        whole = prepare_batch(cell, prepared, context)
        start = {} if cell.start is None else over_batch(cell.start)(whole)
        return whole[CONTEXT], {leaf: start[leaf] for leaf in to_start}

    _, vjp = jax.vjp(made, prepared)
    (more,) = jax.vmap(vjp)((sums.prepared[CONTEXT], to_start))
    own = {name: sums.prepared[name] + more[name] for name in prepared}
    start = {leaf: jnp.zeros_like(value[:, 0]) for leaf, value in to_start.items()}
    return Sums(own, start or sums.start)


class StepRow(NamedTuple):
    """The states before and after a step of a trajectory, its input and number; or (T, ...)."""

    old: State
    after: State
    x_BxI: Array
    t: Array


def _by_params(
    probed: Callable[[Params, StepRow], State],
    params: Params,
    rows: StepRow,
    adjoints: State,
    bins_TxW: Array,
    count: int,
) -> Params:
    """The vector-Jacobian products by the parameters, summed over steps, by bin."""

    def body(sums: Params, row: tuple[StepRow, State, Array]) -> tuple[Params, None]:
        of_step, adjoints, bins_W = row
        _, vjp = jax.vjp(lambda p: probed(p, of_step), params)
        (parts,) = jax.vmap(vjp)(adjoints)
        if len(bins_W) == count:  # the windows are the bins, in order
            return jax.tree.map(jnp.add, sums, parts), None
        return jax.tree.map(lambda s, p: s.at[bins_W].add(p), sums, parts), None

    empty = jax.tree.map(lambda p: jnp.zeros((count, *p.shape), p.dtype), params)
    sums: Params = jax.lax.scan(body, empty, (rows, adjoints, bins_TxW))[0]
    return sums


def finish(unit: Unit, sums: Sums, given: Sequence[str]) -> dict[str, Array]:
    """Parts of a unit's own parameters from those of its prepared ones and initial state.

    `given` are leaves of the initial state that an encoder computes.
    """
    layer, params = unit.layer, unit.layer.params()
    start = {k: jnp.zeros_like(v) if k in given else v for k, v in sums.start.items()}
    (by_steps,) = jax.vmap(jax.vjp(layer.cell.prepare, params)[1])(sums.prepared)
    drawn = {k: jnp.zeros_like(v) if k in layer.learned else v for k, v in start.items()}

    def init_state(params: Params) -> State:
        state = layer.cell.init_state(params)
        return {leaf: state[leaf] for leaf in drawn}

    (by_start,) = jax.vmap(jax.vjp(init_state, params)[1])(drawn)
    parts = jax.tree.map(jnp.add, dict(by_steps), dict(by_start))
    named = {attribute(name): part for name, part in parts.items()}
    return {**named, **{START + leaf: start[leaf] for leaf in layer.learned}}
