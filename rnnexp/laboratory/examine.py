"""All measurements of gradient flow at one moment, as one labelled Dataset.

    data = examine_cell(cell, params, inputs_TxBxI)
    data.lyapunov.values, data.singular.sel(span=16).values

Lyapunov spectrum, singular values of Jacobian products over growing spans, spectral radius
and norm of the recurrent matrices, gates near 0 or 1 and their time constants, dead and
saturated units; of a whole model also the parts of dL/dW by lag and, optionally, dL_s/dh_t
as a matrix. Each has a module of its own in `rnnexp.laboratory`.

Settings too large for the sequences or the cell (a warm-up, a span, a number of exponents) are
reduced, with a line in the log.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import nnx

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.masking import fill_padding
from rnnexp.core.types import Array, Batch, Key, Params, State, Tree
from rnnexp.gradflow.position_losses import Losses, Model, Teacher, spans
from rnnexp.laboratory.dataset import cell_dataset, model_dataset
from rnnexp.laboratory.lag_gradients import longest_lag, take_examples
from rnnexp.laboratory.measure import ModelFigures, Wanted, cell_figures, model_figures
from rnnexp.laboratory.memory import cell_bytes, laboratory_bytes, require_memory
from rnnexp.laboratory.settings import Laboratory, choose_examples, fit_unit, shared_steps
from rnnexp.models.scoring import Scores, scores_of
from rnnexp.scan.step import prepare_batch
from rnnexp.scan.unroll import initial_state

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("rnnexp")
THOROUGH = Laboratory(
    examples=0, exponents=0, interval_steps=1, product_examples=0, rank=0, products="auto",
    iterations=64,
)  # fmt: skip
"""All examples, exponents and singular values: for a single measurement, not for every step."""

Measure = Callable[[Tree, Batch, Key], ModelFigures]


def examine_cell(
    cell: Cell,
    params: Params,
    inputs_TxBxI: Array,
    *,
    start: State | None = None,
    lengths_B: Array | None = None,
    context: Tree = None,
    settings: Laboratory = THOROUGH,
    key: Key | None = None,
) -> "xarray.Dataset":
    """All measurements of one cell on given inputs.

    Args:
      start: the state before the first step, leaves (B, ...); None: the cell's initial state.
      lengths_B: valid steps of every example. Exponents and singular values use the steps
        that all examples have.
      context: of the batch, for a cell that reads one.
      settings: what is measured, on the `settings.examples` longest inputs.
      key: of the tangent vectors and start vectors; None: a fixed one.

    Returns:
      A Dataset with the dimensions exponent, span (steps), rank, matrix, gate and time
      (steps); the attribute `units` of a variable says its unit.

    Raises:
      UsageError: inputs of a wrong width, or more memory than `settings.memory_gib`.
    """
    if inputs_TxBxI.ndim != 3 or inputs_TxBxI.shape[2] != cell.input_size:
        raise UsageError(
            f"inputs must have the shape (T, B, {cell.input_size}), not {inputs_TxBxI.shape}"
        )
    steps, available, _ = inputs_TxBxI.shape
    if start is None:
        start = initial_state(cell, prepare_batch(cell, params, context), available)
    index_E = choose_examples(lengths_B, available, settings.examples)
    x_TxExI = inputs_TxBxI[:, index_E]
    if lengths_B is not None:
        lengths_B = lengths_B[index_E]
        x_TxExI = fill_padding(x_TxExI, lengths_B)
    shared = shared_steps(steps, lengths_B)
    fitted, notes = fit_unit(settings, cell, params, shared, len(index_E))
    _say(cell.name, notes)
    require_memory(settings, cell_bytes(cell, params, steps, len(index_E), fitted), cell.name)
    figures = cell_figures(
        cell, params, x_TxExI, {k: v[index_E] for k, v in start.items()},
        lengths_B, _key(key), jax.tree.map(lambda leaf: leaf[index_E], context), fitted=fitted,
    )  # fmt: skip
    return cell_dataset(jax.device_get(figures), fitted, cell.axis)


def examine_model(
    model: Model,
    batch: Batch,
    scores: Scores,
    *,
    settings: Laboratory = THOROUGH,
    teacher: Teacher | None = None,
    key: Key | None = None,
) -> "xarray.Dataset":
    """All measurements of a model on a batch: of each unit, and of dL/dW by lag.

    Args:
      scores: a task's scores; `scores(outputs, batch)["loss"]` is trained.
      settings, key: see `examine_cell`.
      teacher: for a network with output feedback; None: it reads its own outputs.

    Returns:
      As `examine_cell`, with the dimensions unit, parameter and lag (steps) as well.

    Raises:
      UsageError: more memory than `settings.memory_gib`.
    """
    index_E = choose_examples(batch.lengths_B, batch.inputs_TxBxI.shape[1], settings.examples)
    batch = take_examples(model, jax.tree.map(jnp.asarray, batch), jnp.asarray(index_E))
    graphdef, params = nnx.split(model, nnx.Param)
    wanted = prepare(settings, model, batch, scores, teacher, "the model")
    measure = jax.jit(measure_function(graphdef, scores, wanted, teacher))
    figures = measure(nnx.to_pure_dict(params), batch, _key(key))
    return model_dataset(jax.device_get(figures), wanted, [unit.name for unit in model.units()])


def prepare(
    settings: Laboratory,
    model: Model,
    batch: Batch,
    scores: Scores,
    teacher: Teacher | None,
    name: str,
) -> Wanted:
    """What is measured of a model on this batch; logs reductions and the memory needed.

    Raises `UsageError` for more memory than the settings allow.
    """
    examples = batch.inputs_TxBxI.shape[1]
    fits, notes = [], []
    for unit, span in zip(model.units(), spans(model, batch), strict=True):
        steps = shared_steps(span.steps, span.lengths_B)
        params = unit.layer.params()
        fitted, more = fit_unit(settings, unit.layer.cell, params, steps, examples)
        fits.append(fitted)
        notes += more
    if settings.examples > examples:
        notes.append(f"examples {settings.examples} reduced to {examples}, those there are")
    if settings.lag_examples > examples:
        notes.append(f"lag_examples {settings.lag_examples} reduced to {examples}, the examples")
    lag_examples = min(settings.lag_examples, examples)
    edges = halving_edges(longest_lag(model, batch)) if lag_examples else ()
    wanted = Wanted(
        tuple(fits), lag_examples, edges, settings.adjoint_matrix, model.units()[0].layer.cell.axis,
        each_lag=settings.each_lag and bool(edges),
    )  # fmt: skip
    _say(name, list(dict.fromkeys(notes)))
    losses = _both_losses(scores_of(model, scores))
    needs = laboratory_bytes(model, batch, wanted, *losses, teacher)
    require_memory(settings, needs, name)
    return wanted


def measure_function(
    graphdef: Any, scores: Scores, wanted: Wanted, teacher: Teacher | None
) -> Measure:
    """The program `(params, batch, key) -> figures` of a model, to be compiled."""

    def measure(params: Tree, batch: Batch, key: Key) -> ModelFigures:
        model = nnx.merge(graphdef, params)
        losses = _both_losses(scores_of(model, scores))
        return model_figures(model, batch, *losses, key, wanted, teacher)

    return measure


def _both_losses(scores: Scores) -> tuple[Losses, Losses]:
    return position_losses(scores, mean=True), position_losses(scores, mean=False)


def position_losses(scores: Scores, *, mean: bool) -> Losses:
    """Losses by position whose gradients add up to that of the task's loss.

    Each is the loss's derivative by the outputs of that position, held fixed, times those
    outputs: so its gradient is that of the loss through that position.

    Args:
      mean: the mean over examples of the sum over positions has the gradient of the trained
        loss; else that sum has the gradient of an example's total.
    """

    def losses(outputs: Array, batch: Batch) -> Array:
        def loss(outputs: Array) -> Array:
            score = scores(outputs, batch)["loss"]
            total = jnp.sum(score.total_B)
            return total * score.count_B.size / jnp.sum(score.count_B) if mean else total

        slope = jax.grad(loss)(jax.lax.stop_gradient(outputs))
        each = jnp.sum(slope * outputs, -1)
        return each if each.ndim == 2 else each[None]

    return losses


def halving_edges(longest: int) -> tuple[int, ...]:
    """The largest lag of each bin, ascending: 0, 1, 2, ..., longest / 4, longest / 2, longest."""
    edges = {0}
    while longest > 0:
        edges.add(longest)
        longest //= 2
    return tuple(sorted(edges))


def _say(name: str, notes: Sequence[str]) -> None:
    for note in notes:
        log.info("laboratory of %s: %s", name, note)


def _key(key: Key | None) -> Key:
    return jax.random.key(0) if key is None else key
