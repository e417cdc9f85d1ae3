"""The laboratory's figures: one program for all units of a model. No input or output.

The model runs once and stores the trajectory of every unit, along which the unit is measured.
Noise is off and the time loop is a scan. The Jacobian of a step includes what the step does
besides the cell (zoneout's mean, a teacher's outputs).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.cells.base import Cell
from rnnexp.core.axis import TIME
from rnnexp.core.tree import stable_norm
from rnnexp.core.types import Array, Batch, Key, Params, State, Tree
from rnnexp.gradflow.position_losses import (
    Losses,
    Model,
    Teacher,
    apply,
    spans,
    stacks,
    with_time_loop,
)
from rnnexp.laboratory.adjoint_matrix import adjoint_matrix
from rnnexp.laboratory.lag_gradients import in_bins, lag_gradients, lag_norms, take_examples
from rnnexp.laboratory.lyapunov import Spectrum, lyapunov_spectrum
from rnnexp.laboratory.products import ProductSpectrum, jacobian_products
from rnnexp.laboratory.recurrent_matrices import recurrent_matrices
from rnnexp.laboratory.saturation import (
    GateSaturation,
    HiddenSaturation,
    gate_saturation,
    hidden_saturation,
    kept_fraction,
    time_constant,
)
from rnnexp.laboratory.settings import Fitted
from rnnexp.models.forward import EVALUATION, ForwardOptions
from rnnexp.models.noise import teacher as teacher_hook
from rnnexp.models.stack import unit_hooks
from rnnexp.models.structure import Structure
from rnnexp.scan.step import hooked
from rnnexp.scan.unroll import TimeLoop, Trajectory, reading_context, unroll


class UnitFigures(NamedTuple):
    """Figures of one unit; None where not available.

    `matrices` are the recurrent matrices, whose eigenvalues and norms the host computes;
    `constant_T` is in steps.
    """

    spectrum: Spectrum | None
    products: ProductSpectrum | None
    matrices: Mapping[str, Array]
    gates: GateSaturation
    constant_T: Array | None
    hidden: HiddenSaturation


class LagFigures(NamedTuple):
    """Norms by `unit/parameter`: of the part of dL/dW in every bin of lags, of dL/dW, and of the
    part from every single lag, if wanted."""

    parts: Mapping[str, Array]
    total: Mapping[str, Array]
    each: Mapping[str, Array] | None = None


class ModelFigures(NamedTuple):
    """Figures of a model: every unit, the parts of dL/dW by lag, dL_s/dh_t by unit."""

    units: Sequence[UnitFigures]
    lags: LagFigures | None
    adjoints: Mapping[str, Array] | None


class Wanted(NamedTuple):
    """What is measured of a model. Static: `lag_edges` are the largest lags of the bins; empty:
    no parts by lag; `axis` is what a step is; `each_lag`: also the part from every single lag."""

    units: tuple[Fitted, ...]
    lag_examples: int
    lag_edges: tuple[int, ...]
    adjoint_matrix: bool
    axis: str = TIME
    each_lag: bool = False

    @property
    def narrow_edges(self) -> tuple[int, ...]:
        """The bins that are measured: those of `lag_edges`, or one a lag."""
        return tuple(range(self.lag_edges[-1] + 1)) if self.each_lag else self.lag_edges


@partial(jax.jit, static_argnames=("cell", "fitted"))
def cell_figures(
    cell: Cell,
    params: Params,
    x_TxBxI: Array,
    start: State,
    lengths_B: Array | None,
    key: Key,
    context: Tree = None,
    *,
    fitted: Fitted,
) -> UnitFigures:
    """The figures of a cell driven by inputs."""
    run = unroll(
        cell, params, x_TxBxI, lengths_B=lengths_B, context=context, state=start, keep_states=True
    )
    assert run.states is not None
    seen = Trajectory(x_TxBxI, start, run.states, context)
    cell, params, seen = reading_context(cell, params, seen)
    return unit_figures(cell, cell, params, seen, lengths_B, key, fitted, backward=False)


def model_figures(
    model: Model,
    batch: Batch,
    losses: Losses,
    row_losses: Losses,
    key: Key,
    wanted: Wanted,
    teacher: Teacher | None = None,
) -> ModelFigures:
    """The figures of a model; the caller compiles it.

    The mean of `losses` over the examples is the L of dL/dW, `row_losses` are the L_s of
    dL_s/dh_t.
    """
    model = step_by_step(model)
    taught = None if teacher is None else teacher(batch)
    options = ForwardOptions(keep_states=True)
    trajectories = apply(model, batch, options, teacher=teacher).trajectories
    structures = [stack.structure for stack in stacks(model) for _ in stack.layers]
    rows = zip(
        model.units(), structures, trajectories, spans(model, batch), wanted.units, strict=True
    )  # fmt: skip
    units = []
    for number, (unit, structure, seen, span, fitted) in enumerate(rows):
        cell, params, seen = reading_context(unit.layer.cell, unit.layer.params(), seen)
        whole, driven = whole_step(cell, structure, seen, taught)
        units.append(
            unit_figures(
                cell, whole, params, driven, span.lengths_B, jax.random.fold_in(key, number),
                fitted, backward=unit.backward,
            )
        )  # fmt: skip
    lags = _lag_figures(model, batch, losses, wanted, teacher) if wanted.lag_edges else None
    adjoints = None
    if wanted.adjoint_matrix:
        one = take_examples(model, batch, jnp.zeros(1, jnp.int32))
        leaf = model.units()[0].layer.cell.hidden
        adjoints = adjoint_matrix(model, one, row_losses, leaf=leaf, teacher=teacher)
    return ModelFigures(units, lags, adjoints)


def _lag_figures(
    model: Model, batch: Batch, losses: Losses, wanted: Wanted, teacher: Teacher | None
) -> LagFigures:
    part = take_examples(model, batch, jnp.arange(wanted.lag_examples, dtype=jnp.int32))
    lags = lag_gradients(model, part, losses, edges=wanted.narrow_edges, teacher=teacher)
    each = lag_norms(lags) if wanted.each_lag else None
    if wanted.each_lag:
        lags = in_bins(lags, wanted.lag_edges)
    total = {f"{u}/{n}": stable_norm(v) for u, of in lags.total.items() for n, v in of.items()}
    return LagFigures(lag_norms(lags), total, each)


def unit_figures(
    cell: Cell,
    whole: Cell,
    params: Params,
    seen: Trajectory,
    lengths_B: Array | None,
    key: Key,
    fitted: Fitted,
    *,
    backward: bool,
) -> UnitFigures:
    """The figures of one unit along a trajectory.

    `whole` is the cell with everything that a step does; `seen.inputs_TxBxI` are its inputs.
    """
    key_tangent, key_krylov = jax.random.split(key)
    x_TxBxI = seen.inputs_TxBxI[: fitted.steps]
    spectrum = products = None
    if fitted.exponents:
        spectrum = lyapunov_spectrum(
            whole, params, x_TxBxI, count=fitted.exponents, warmup_steps=fitted.warmup_steps,
            interval_steps=fitted.interval_steps, key=key_tangent, start=seen.start,
            leave_out=cell.counters_of(params),
        )  # fmt: skip
    if fitted.spans:
        few = fitted.product_examples
        products = jacobian_products(
            whole, params, x_TxBxI[:, :few], count=fitted.rank, spans=fitted.spans,
            starts=(fitted.begin,), method=fitted.products, iterations=fitted.iterations,
            state={leaf: value[:few] for leaf, value in seen.start.items()}, key=key_krylov,
        )  # fmt: skip
    own = seen._replace(inputs_TxBxI=seen.inputs_TxBxI[..., : cell.input_size])
    gates = gate_saturation(cell, params, own, lengths_B, backward=backward)
    kept_T = kept_fraction(cell, gates)
    return UnitFigures(
        spectrum,
        products,
        recurrent_matrices(cell, params),
        gates,
        None if kept_T is None else time_constant(kept_T),
        hidden_saturation(seen.states[cell.hidden], lengths_B),
    )


def step_by_step(model: Model) -> Model:
    """A copy of a model that runs through time by the plain scan."""
    return with_time_loop(model, lambda loop: TimeLoop(cut_steps=loop.cut_steps))


def whole_step(
    cell: Cell, structure: Structure, seen: Trajectory, taught_TxBxO: Array | None
) -> tuple[Cell, Trajectory]:
    """A cell whose transition is the whole step in evaluation, and the trajectory with its inputs.

    Zoneout's mean is part of its transition; a teacher's outputs are part of its inputs.
    """
    step = hooked(cell.transition, unit_hooks(structure, cell, EVALUATION))
    zero = jnp.zeros((), jnp.int32)

    def alone(params: Params, state: State, x_I: Array) -> State:
        return step(params, state, x_I, zero)  # zoneout's mean is the same at all steps

    whole = dataclasses.replace(cell, transition=alone, states=None, kernel=None)
    if taught_TxBxO is None or cell.feedback is None:
        return whole, seen
    leaf, size = cell.feedback, cell.input_size
    before = teacher_hook(leaf, taught_TxBxO, taught_TxBxO.shape[0]).before
    assert before is not None
    steps = jnp.arange(seen.inputs_TxBxI.shape[0], dtype=jnp.int32)
    shown = jax.vmap(lambda t: before({}, t)[leaf])(steps)

    def taught(params: Params, state: State, x: Array) -> State:
        return alone(params, {**state, leaf: x[size:]}, x[:size])

    whole = dataclasses.replace(whole, input_size=size + shown.shape[-1], transition=taught)
    return whole, seen._replace(inputs_TxBxI=jnp.concatenate([seen.inputs_TxBxI, shown], -1))
