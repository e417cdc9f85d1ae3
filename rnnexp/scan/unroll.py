"""The only scan over time in the project.

Cells are written for one example and one step; here they are mapped over the batch
and scanned over time. Compile time does not depend on T.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.masking import hold, last_valid
from rnnexp.core.types import Array, Params, State, Tree
from rnnexp.scan.kernels.cpu import recurrence
from rnnexp.scan.newton.solve import NewtonStats
from rnnexp.scan.parallel import run_parallel
from rnnexp.scan.remat import SegmentRun, in_segments
from rnnexp.scan.step import Hook, hooked


class Probe(NamedTuple):
    """Something applied to the probed leaves after every step, before the output.

    Attributes:
      apply: `(state_Bx..., slot_t) -> state`, of the same structure.
      slots: a tree whose leaves have a leading time axis; `apply` gets its row t.
      additive: `apply` adds the slot, so that paths other than the scan can do it too.
      silent: `apply` changes nothing, and the derivative by the slot is the cotangent of
        the state; so other paths can give that.
      norms: the same, but for the derivative, which is the cotangent's norm by example.
    """

    apply: Callable[[State, Tree], State]
    slots: Tree
    additive: bool = False
    silent: bool = False
    norms: bool = False


class TimeLoop(NamedTuple):
    """How the time axis is run through; every way gives the same values.

    Attributes:
      associative: use the cell's parallel path over the whole sequence.
      cut_steps: no gradient flows back over steps divisible by it (truncated BPTT); 0
        or at least T: full BPTT.
      remat_steps: keep the state of every so many steps only and compute those between
        again in the backward pass; 0: keep all. sqrt(T) needs least memory.
      kernel: use the cell's compiled kernel wherever nothing asks for single steps: no
        hooks, no states to keep, no probe but a silent one; where not `fused`, also with
        `remat_steps` and for a probe of norms.
      fused: the kernel is that of graphics processors, with products in this precision (see
        `rnnexp.scan.kernels.gpu.layout`); empty: it is that of processors.
      newton: `full` or `diagonal`: all steps at once by Newton's iteration, where there is
        more than one step (see `rnnexp.scan.newton.solve`).
    """

    associative: bool = False
    cut_steps: int = 0
    remat_steps: int = 0
    kernel: bool = False
    fused: str = ""
    newton: str = ""


class Unrolled(NamedTuple):
    """States after every sequence's last valid step, its output then, and all outputs.

    `states` are those after every step, (T, B, ...) by leaf, where they were asked for.
    `newton_stats` is that of Newton's iteration.
    """

    final_state: State
    final_BxH: Array
    outputs_TxBxH: Array
    states: State | None = None
    newton_stats: NewtonStats | None = None


class Trajectory(NamedTuple):
    """What a cell did: its inputs, its initial state, and the states after every step.

    Leaves of `states` are (T, B, ...). Time is the cell's own: one that reads backwards
    begins with the last valid step. From a sequence's end on its state is held.
    """

    inputs_TxBxI: Array
    start: State
    states: State


def initial_state(cell: Cell, params: Params, batch_size: int) -> State:
    """The cell's initial state, the same for every example of the batch."""
    state = cell.init_state(params)
    return {k: jnp.broadcast_to(v, (batch_size, *v.shape)) for k, v in state.items()}


def unroll(
    cell: Cell,
    params: Params,
    inputs_TxBxI: Array,
    *,
    lengths_B: Array | None = None,
    state: State | None = None,
    probe: Probe | None = None,
    hooks: tuple[Hook, ...] = (),
    time_loop: TimeLoop = TimeLoop(),  # noqa: B008  an immutable value
    keep_states: bool = False,
) -> Unrolled:
    """Run a cell over a batch of sequences.

    Args:
      lengths_B: number of valid steps of each sequence. From there on its state is
        held and its outputs are those of the held state, so nothing after the end acts
        on the final state, and no gradient enters the steps after it. None: all T.
      state: where to start; None: the cell's initial state.
      probe: applied to the state after every step (see `Probe`).
      hooks: applied around every transition, in their order (see `Hook`).
      time_loop: how the time axis is run through.
      keep_states: give back the states after every step.

    Returns:
      Final states, final outputs and all outputs.

    Raises:
      UsageError: a parallel path with a cell, or with hooks, that it cannot take.
    """
    steps, batch_size, _ = inputs_TxBxI.shape
    params = cell.prepare(params)
    if state is None:
        state = initial_state(cell, params, batch_size)
    if time_loop.associative or (time_loop.newton and steps > 1):
        added = _parallel_slots(time_loop, probe, hooks)
        got = run_parallel(
            cell,
            params,
            inputs_TxBxI,
            state,
            newton=time_loop.newton,
            slots=added,
            lengths_B=lengths_B,
        )
        run = Unrolled(*got)
        return run if keep_states else run._replace(states=None)
    slots = None if probe is None else probe.slots
    rows = (inputs_TxBxI, jnp.arange(steps, dtype=jnp.int32), slots)
    if (
        time_loop.kernel
        and cell.kernel
        and not keep_states
        and fits_kernel(cell, time_loop, probe, hooks)
    ):
        run_kernel = _kernel_run(cell.kernel, params, lengths_B, time_loop)
        final_state, outputs_TxBxH = in_segments(run_kernel, state, rows, time_loop.remat_steps)
        return Unrolled(final_state, final_state["h"], outputs_TxBxH)
    body = _make_body(cell, params, lengths_B, probe, hooks, time_loop.cut_steps, keep_states)
    run_scan = partial(jax.lax.scan, body)
    final_state, (outputs_TxBxH, states) = in_segments(run_scan, state, rows, time_loop.remat_steps)
    output = jax.vmap(cell.output, in_axes=(None, 0, 0))
    final_BxH = output(params, final_state, last_valid(inputs_TxBxI, lengths_B))
    return Unrolled(final_state, final_BxH, outputs_TxBxH, states)


def fits_kernel(
    cell: Cell, time_loop: TimeLoop, probe: Probe | None = None, hooks: tuple[Hook, ...] = ()
) -> bool:
    """Whether the cell's kernel gives all that is asked for."""
    plain = not (time_loop.associative or time_loop.newton or time_loop.cut_steps or hooks)
    plain = plain and not (time_loop.fused and time_loop.remat_steps)
    fits = probe is None or probe.silent or (probe.norms and not time_loop.fused)
    return cell.kernel is not None and plain and fits


Row = tuple[Array, Array, Tree]


def _kernel_run(
    name: str, params: Params, lengths_B: Array | None, time_loop: TimeLoop
) -> SegmentRun:
    """Some steps in one call of the compiled kernel: `(state, rows) -> (state, outputs)`."""
    if time_loop.fused:
        from rnnexp.scan.kernels.gpu.recurrence import recurrence as fused  # Pallas takes a while

        call: Callable[..., tuple[Array, State]] = partial(fused, precision=time_loop.fused)
    else:
        call = recurrence

    def run(state: State, rows: Row) -> tuple[State, Array]:
        x_TxBxI, t_T, slots = rows
        left_B = None if lengths_B is None else lengths_B - t_T[0].astype(lengths_B.dtype)
        outputs_TxBxH, state = call(name, params, x_TxBxI, state, lengths_B=left_B, slots=slots)
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
    transition = hooked(jax.vmap(cell.transition, in_axes=(None, 0, 0)), hooks)
    output = jax.vmap(cell.output, in_axes=(None, 0, 0))

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
    """What a probe adds to the states, if a parallel path has a place for all that is asked."""
    silent = probe is not None and probe.silent and time_loop.newton != ""
    fits = probe is None or probe.additive or silent
    if hooks or time_loop.cut_steps or time_loop.remat_steps or not fits:
        which = "Newton" if time_loop.newton else "associative"
        raise UsageError(
            f"the {which} path takes no recurrent dropout, "
            "zoneout, teacher, truncated BPTT or rematerialisation"
        )
    slots: State = {} if probe is None else probe.slots
    if silent:  # it adds nothing, but has the derivative
        return {k: v - jax.lax.stop_gradient(v) for k, v in slots.items()}
    return slots


def _cut(state: State, t: Array, cut_steps: int) -> State:
    """The state; at steps that `cut_steps` divides, all but the first, without its history."""
    at = (t % cut_steps == 0) & (t > 0)
    return {k: jax.lax.select(at, jax.lax.stop_gradient(v), v) for k, v in state.items()}
