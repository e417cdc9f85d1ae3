"""Maps a cell over the batch and scans it over time. Compile time does not depend on T."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.masking import fill_padding, hold, last_valid
from rnnexp.core.types import Array, Params, State, Tree
from rnnexp.scan.kernels.cpu import recurrence
from rnnexp.scan.newton.solve import NewtonStats
from rnnexp.scan.parallel import run_parallel
from rnnexp.scan.remat import SegmentRun, in_segments
from rnnexp.scan.step import (
    Hook,
    context_as_input,
    hooked,
    over_batch,
    prepare_batch,
)


class Probe(NamedTuple):
    """A function of the probed leaves, applied after every step, before the output.

    Attributes:
      apply: `(state_Bx..., slot_t) -> state`, of the same structure.
      slots: a tree whose leaves have a leading time axis; `apply` gets its row t.
      additive: `apply` adds the slot, which paths other than the scan can do too.
      silent: `apply` changes nothing, and the derivative by the slot is the cotangent of
        the state, which other paths can give too.
      norms: as `silent`, but the derivative is the cotangent's norm by example.
    """

    apply: Callable[[State, Tree], State]
    slots: Tree
    additive: bool = False
    silent: bool = False
    norms: bool = False


class TimeLoop(NamedTuple):
    """How a unit goes through time; every way gives the same values.

    Attributes:
      associative: use the cell's parallel path over the whole sequence.
      cut_steps: no gradient flows back over steps divisible by it (truncated BPTT); 0
        or at least T: full BPTT.
      remat_steps: keep one state in so many steps and recompute the others in the backward
        pass; 0: keep all. sqrt(T) needs least memory.
      kernel: use the cell's compiled kernel where nothing needs single steps: no hooks, no
        kept states, no probe but a silent one. A CPU's also takes `remat_steps` or
        `cut_steps`, and a probe of norms.
      fused: use the kernel of GPUs, with products in this precision (see
        `rnnexp.scan.kernels.gpu.layout`); empty: that of CPUs.
      newton: `full` or `diagonal`: all steps at once by Newton's iteration, if there is
        more than one step (see `rnnexp.scan.newton.solve`).
    """

    associative: bool = False
    cut_steps: int = 0
    remat_steps: int = 0
    kernel: bool = False
    fused: str = ""
    newton: str = ""


class Unrolled(NamedTuple):
    """States and outputs after every sequence's last valid step, and all outputs.

    `states` are those after every step, (T, B, ...) by leaf, if they were kept.
    """

    final_state: State
    final_BxH: Array
    outputs_TxBxH: Array
    states: State | None = None
    newton_stats: NewtonStats | None = None


class Trajectory(NamedTuple):
    """A cell's inputs, its initial state, and its states after every step.

    Leaves of `states` are (T, B, ...). Time is the cell's own: one that reads backwards
    begins with the last valid step. After a sequence's end its state is held. `context` is that
    of the batch, as its examples have it in `Batch.context`.
    """

    inputs_TxBxI: Array
    start: State
    states: State
    context: Tree = None


def initial_state(cell: Cell, params: Params, batch_size: int) -> State:
    """The state before the first step, of every example: the cell's own, the same for all, or
    what the context in the prepared `params` makes it."""
    if cell.start is not None:
        started: State = over_batch(cell.start)(params)
        return started
    return without_context(cell, params, batch_size)


def without_context(cell: Cell, params: Params, batch_size: int) -> State:
    """The cell's own state before the first step, of every example."""
    state = cell.init_state(params)
    return {k: jnp.broadcast_to(v, (batch_size, *v.shape)) for k, v in state.items()}


def reading_context(
    cell: Cell, params: Params, seen: Trajectory
) -> tuple[Cell, Params, Trajectory]:
    """A cell that reads its context as part of its inputs, and the trajectory with such inputs.

    A cell without context stays as it is.
    """
    if cell.context is None:
        return cell, params, seen
    prepared = prepare_batch(cell, params, seen.context)
    cell, params, inputs = context_as_input(cell, prepared, seen.inputs_TxBxI)
    return cell, params, seen._replace(inputs_TxBxI=inputs, context=None)


def unroll(
    cell: Cell,
    params: Params,
    inputs_TxBxI: Array,
    *,
    lengths_B: Array | None = None,
    context: Tree = None,
    state: State | None = None,
    probe: Probe | None = None,
    hooks: tuple[Hook, ...] = (),
    time_loop: TimeLoop = TimeLoop(),  # noqa: B008  an immutable value
    keep_states: bool = False,
) -> Unrolled:
    """Run a cell over a batch of sequences.

    Args:
      lengths_B: number of valid steps of each sequence. After them its state is held and
        its outputs are those of the held state, so steps after the end neither act on the
        final state nor receive a gradient, whatever the inputs are there. None: all T.
      context: of the batch, for a cell that reads one.
      state: the state before the first step; None: the cell's initial state.
      probe: applied to the state after every step (see `Probe`).
      hooks: applied around every transition, in their order (see `Hook`).
      time_loop: how the cell goes through time.
      keep_states: also return the states after every step.

    Raises `UsageError` for a parallel path with a cell, or with options, that it cannot take, and
    for a missing context.
    """
    steps, batch_size, _ = inputs_TxBxI.shape
    inputs_TxBxI = fill_padding(inputs_TxBxI, lengths_B)
    params = prepare_batch(cell, params, context)
    if state is None:
        state = initial_state(cell, params, batch_size)
    if time_loop.associative or (time_loop.newton and steps > 1):
        added = _parallel_slots(time_loop, probe, hooks)
        cell, params, inputs_TxBxI = context_as_input(cell, params, inputs_TxBxI)
        newton = time_loop.newton
        run = Unrolled(
            *run_parallel(
                cell, params, inputs_TxBxI, state, newton=newton, slots=added, lengths_B=lengths_B
            )
        )
        return run if keep_states else run._replace(states=None)
    slots = None if probe is None else probe.slots
    rows = (inputs_TxBxI, jnp.arange(steps, dtype=jnp.int32), slots)
    if (
        time_loop.kernel
        and cell.kernel
        and not keep_states
        and fits_kernel(cell, time_loop, probe, hooks)
    ):
        run_kernel = _kernel_run(cell, params, lengths_B, time_loop)
        final_state, outputs_TxBxH = in_segments(run_kernel, state, rows, time_loop.remat_steps)
        return Unrolled(final_state, final_state["h"], outputs_TxBxH)
    body = _make_body(cell, params, lengths_B, probe, hooks, time_loop.cut_steps, keep_states)
    run_scan = partial(jax.lax.scan, body)
    final_state, (outputs_TxBxH, states) = in_segments(run_scan, state, rows, time_loop.remat_steps)
    output = over_batch(cell.output)
    final_BxH = output(params, final_state, last_valid(inputs_TxBxI, lengths_B))
    return Unrolled(final_state, final_BxH, outputs_TxBxH, states)


def fits_kernel(
    cell: Cell, time_loop: TimeLoop, probe: Probe | None = None, hooks: tuple[Hook, ...] = ()
) -> bool:
    """Whether the cell has a kernel that supports all of these options."""
    if cell.kernel is None or time_loop.associative or time_loop.newton or hooks:
        return False
    if time_loop.cut_steps and (time_loop.remat_steps or time_loop.fused):
        return False
    if time_loop.fused and time_loop.remat_steps:
        return False
    return probe is None or probe.silent or (probe.norms and not time_loop.fused)


Row = tuple[Array, Array, Tree]


def _kernel_run(
    cell: Cell, params: Params, lengths_B: Array | None, time_loop: TimeLoop
) -> SegmentRun:
    """`(state, rows) -> (state, outputs)`: some steps in one call of the compiled kernel."""
    name, weights = str(cell.kernel), cell.kernel_weights(params)
    if time_loop.fused:
        from rnnexp.scan.kernels.gpu.recurrence import (
            recurrence as fused,
        )  # Pallas is slow to import

        call: Callable[..., tuple[Array, State]] = partial(fused, precision=time_loop.fused)
    else:
        call = partial(recurrence, cut_steps=time_loop.cut_steps)

    def run(state: State, rows: Row) -> tuple[State, Array]:
        x_TxBxI, t_T, slots = rows
        left_B = None if lengths_B is None else lengths_B - t_T[0].astype(lengths_B.dtype)
        outputs_TxBxH, state = call(name, weights, x_TxBxI, state, lengths_B=left_B, slots=slots)
        return state, outputs_TxBxH

    return run


Body = Callable[[State, Row], tuple[State, tuple[Array, State | None]]]


def _make_body(
    cell: Cell,
    params: Params,
    lengths_B: Array | None,
    probe: Probe | None,
    hooks: tuple[Hook, ...],
    cut_steps: int,
    keep_states: bool,
) -> Body:
    """One step of the whole batch: `(state, (x, t, slot)) -> (state, (output, kept state))`."""
    transition = hooked(over_batch(cell.transition), hooks)
    output = over_batch(cell.output)

    def body(carry: State, row: Row) -> tuple[State, tuple[Array, State | None]]:
        x_BxI, t, slot = row
        old = _cut(carry, t, cut_steps) if cut_steps else carry
        new = transition(params, old, x_BxI, t)
        if probe is not None:
            new = {**new, **probe.apply({k: new[k] for k in slot}, slot)}
        if lengths_B is not None:
            valid_B = t.astype(lengths_B.dtype) < lengths_B
            new = {k: hold(valid_B, new[k], carry[k]) for k in new}
        return new, (output(params, new, x_BxI), new if keep_states else None)

    return body


def _parallel_slots(time_loop: TimeLoop, probe: Probe | None, hooks: tuple[Hook, ...]) -> State:
    """What a probe adds to the states. Raises `UsageError` if a parallel path cannot take it."""
    silent = probe is not None and probe.silent and time_loop.newton != ""
    fits = probe is None or probe.additive or silent
    if hooks or time_loop.cut_steps or time_loop.remat_steps or not fits:
        which = "Newton" if time_loop.newton else "associative"
        raise UsageError(
            f"the {which} path takes no recurrent dropout, "
            "zoneout, teacher, truncated BPTT or rematerialisation"
        )
    slots: State = {} if probe is None else probe.slots
    if silent:  # adds nothing, with the derivative of a sum
        return {k: v - jax.lax.stop_gradient(v) for k, v in slots.items()}
    return slots


def _cut(state: State, t: Array, cut_steps: int) -> State:
    """The state, without its gradient at the steps t > 0 that `cut_steps` divides."""
    at = (t % cut_steps == 0) & (t > 0)
    return {k: jax.lax.select(at, jax.lax.stop_gradient(v), v) for k, v in state.items()}
