"""The memory that the laboratory takes, from shapes alone, and its limit."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import jax

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.tree import tree_bytes
from rnnexp.core.types import Batch, Params
from rnnexp.gradflow.position_losses import Losses, Model, Teacher, spans
from rnnexp.laboratory.adjoint_matrix import matrix_bytes
from rnnexp.laboratory.lag_gradients import lag_bytes, take_examples
from rnnexp.laboratory.measure import Wanted
from rnnexp.laboratory.products import EXACT_BYTES, product_bytes
from rnnexp.laboratory.settings import Fitted, Laboratory
from rnnexp.laboratory.tangent_vectors import tangent_bytes

log = logging.getLogger("rnnexp")
COPIES = 3
"""Of every trajectory: the recorded one, the states before each step, that of the products."""


class Need(NamedTuple):
    """Bytes that a part of the laboratory takes, its name, and how to reduce them."""

    size: int
    what: str
    remedy: str


def laboratory_bytes(
    model: Model,
    batch: Batch,
    wanted: Wanted,
    losses: Losses,
    row_losses: Losses,
    teacher: Teacher | None = None,
) -> list[Need]:
    """The memory of every part of `model_figures`; arguments as there. The sum is a bound without
    the compiled program and the model's weights."""
    needs: list[Need] = []
    examples = batch.inputs_TxBxI.shape[1]
    for unit, span, fitted in zip(model.units(), spans(model, batch), wanted.units, strict=True):
        cell, params = unit.layer.cell, unit.layer.params()
        needs += cell_bytes(cell, params, span.steps, examples, fitted)
    if wanted.lag_edges:
        part = take_examples(model, batch, jax.numpy.arange(wanted.lag_examples))
        size = lag_bytes(model, part, losses, edges=wanted.narrow_edges, teacher=teacher)
        remedy = "set laboratory.each_lag=false or " * wanted.each_lag
        remedy += "lower laboratory.lag_examples"
        needs.append(Need(size, "the parts of dL/dW by lag", remedy))
    if wanted.adjoint_matrix:
        one = take_examples(model, batch, jax.numpy.zeros(1, int))
        leaf = model.units()[0].layer.cell.hidden
        size = matrix_bytes(model, one, row_losses, leaf=leaf, teacher=teacher)
        needs.append(Need(size, "dL_s/dh_t as a matrix", "turn laboratory.adjoint_matrix off"))
    return needs


def cell_bytes(cell: Cell, params: Params, steps: int, examples: int, fitted: Fitted) -> list[Need]:
    """The memory of every part of one unit's figures, on sequences of so many steps."""
    state = jax.eval_shape(cell.init_state, params)
    dtype, few = state[cell.hidden].dtype, fitted.product_examples
    step = tree_bytes(state) + cell.input_size * dtype.itemsize
    needs = [Need(COPIES * steps * examples * step, "trajectories", "lower laboratory.examples")]
    if fitted.exponents:
        size = tangent_bytes(cell, params, examples, fitted.exponents, dtype)
        needs.append(Need(size, "Lyapunov exponents", "lower laboratory.exponents"))
    if fitted.spans:
        exact = product_bytes(cell, params, few)
        size = few * 4 * (fitted.iterations or 0) * tree_bytes(state)
        if fitted.products == "exact" or (fitted.products == "auto" and exact <= EXACT_BYTES):
            size = exact
        needs.append(Need(size, "singular values", "lower laboratory.product_examples"))
    return needs


def require_memory(settings: Laboratory, needs: Sequence[Need], name: str) -> None:
    """Log the memory that measuring `name` takes; `UsageError` if it exceeds the limit."""
    total, most = sum(need.size for need in needs), max(needs)
    log.info("laboratory of %s: measuring takes up to %.1f MiB", name, total / 2**20)
    if total > settings.memory_gib * 2**30:
        raise UsageError(
            f"measuring {name} takes up to {total / 2**30:.3g} GiB, more than "
            f"laboratory.memory_gib = {settings.memory_gib:g}; most of it "
            f"({most.size / 2**30:.3g} GiB) is for {most.what}: {most.remedy}, or raise "
            "laboratory.memory_gib"
        )
