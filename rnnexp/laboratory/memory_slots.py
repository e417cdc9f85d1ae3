"""dL/dM_t[i]: the gradient of the loss by every slot of an external memory, at every time step.

Training records the norm over the whole memory. Here its rows stand apart, beside what they hold
and where the heads read and write, all of one example. A slot's adjoint that stays the same from
step to step is one that nobody reads or erases in between: dM_t/dM_{t-1} is 1 - w e^T, element by
element, as far as the addressing is held (see `rnnexp.cells.memory_addressing`). The rest of the
adjoint comes through the addressing, which looks at the memory too.

L is the loss of that example, as training takes it, without noise. Time is the sequence's own,
whatever way a unit reads; what comes after the example's end is NaN. What truncated BPTT cuts off
is zero here too.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.masking import reverse_valid, valid_steps
from rnnexp.core.types import Array, Batch, State
from rnnexp.gradflow.adjoints import probes, tap, zero_slot
from rnnexp.gradflow.position_losses import Model, Span, Teacher, apply, spans
from rnnexp.laboratory.measure import step_by_step
from rnnexp.laboratory.units import UNITS
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.stack import Unit
from rnnexp.scan.unroll import Trajectory

if TYPE_CHECKING:
    import xarray

Loss: TypeAlias = Callable[[Array, Batch], Array]
"""`(outputs, batch) -> ()`: the loss of a batch of one example."""


class MemorySlots(NamedTuple):
    """The memory of one unit along one example: N slots of W numbers.

    Attributes:
      adjoint_TxNxW: dL/dM_t.
      content_TxNxW: M_t.
      weights: by leaf of the state, (T, heads, N): where the heads read and write at step t.
    """

    adjoint_TxNxW: Array
    content_TxNxW: Array
    weights: Mapping[str, Array]


def memory_slots(
    model: Model, batch: Batch, loss: Loss, *, teacher: Teacher | None = None
) -> dict[str, MemorySlots]:
    """dL/dM_t by slot, M_t, and the heads' weights, by unit with a memory, in one backward pass.

    Args:
      batch: one example, B = 1.
      teacher: for a network with output feedback; None: it reads its own outputs.

    Raises:
      UsageError: more than one example, or no unit has a memory.
    """
    if batch.inputs_TxBxI.shape[1] != 1:
        raise UsageError(
            f"the slots of a memory are of one example, not of {batch.inputs_TxBxI.shape[1]}"
        )
    model = step_by_step(model)
    units, places = model.units(), spans(model, batch)
    if all(unit.layer.cell.memory is None for unit in units):
        raise UsageError(f"cell {units[0].layer.cell.name!r} has no external memory")
    slots = [_slot(unit, span) for unit, span in zip(units, places, strict=True)]

    def run(slots: list[State]) -> tuple[Array, Any]:
        options = ForwardOptions(probes=probes(tap, slots), keep_states=True)
        got = apply(model, batch, options, teacher=teacher)
        return loss(got.outputs, batch), got.trajectories

    adjoints, trajectories = jax.grad(run, has_aux=True)(slots)
    rows = zip(units, places, adjoints, trajectories, strict=True)
    return {
        unit.name: _slots_of(unit, span, adjoint, seen)
        for unit, span, adjoint, seen in rows
        if unit.layer.cell.memory is not None
    }


def _slot(unit: Unit, span: Span) -> State:
    """A zero for the unit's memory at every step."""
    cell = unit.layer.cell
    whole = zero_slot(cell, unit.layer.params(), span.steps, 1)
    return {} if cell.memory is None else {cell.memory: whole[cell.memory]}


def _slots_of(unit: Unit, span: Span, adjoint: State, seen: Trajectory) -> MemorySlots:
    cell = unit.layer.cell
    assert cell.memory is not None
    valid_T = valid_steps(span.steps, span.lengths_B)[:, 0]

    def ordered(x_Tx1: Array) -> Array:
        if unit.backward:
            x_Tx1 = reverse_valid(x_Tx1, span.lengths_B)
        valid = valid_T.reshape(-1, *(1,) * (x_Tx1.ndim - 2))
        return jnp.where(valid, x_Tx1[:, 0], jnp.full_like(x_Tx1[:, 0], jnp.nan))

    return MemorySlots(
        ordered(adjoint[cell.memory]),
        ordered(seen.states[cell.memory]),
        {leaf: ordered(seen.states[leaf]) for leaf in cell.memory_weights},
    )


def slots_dataset(found: MemorySlots, *, whole: bool = False) -> "xarray.Dataset":
    """A unit's memory as a labelled Dataset, on the host.

    Args:
      whole: also `adjoint`, dL/dM_t (time, slot, width).

    Returns:
      (time, slot): `adjoint_norm`, ||dL/dM_t[i]||; `content_norm` and `content_mean`, of the
      numbers M_t[i] in a slot. (time, LEAF_head, slot): each leaf of weights.
    """
    import xarray

    adjoint, content = (np.asarray(x) for x in found[:2])
    axes = ("time", "slot")
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "adjoint_norm": (axes, norms(adjoint)),
        "content_norm": (axes, norms(content)),
        "content_mean": (axes, content.mean(axis=-1)),
    }
    if whole:
        variables["adjoint"] = ((*axes, "width"), adjoint)
    for leaf, weights in found.weights.items():
        variables[leaf] = (("time", f"{leaf}_head", "slot"), np.asarray(weights))
    coordinates = {name: np.arange(size) for name, size in zip(axes, adjoint.shape, strict=False)}
    return xarray.Dataset(variables, {k: (k, v, _unit(k)) for k, v in coordinates.items()})


def norms(rows: np.ndarray) -> np.ndarray:
    """Norms over the last axis, by way of float64, where squares of float32 do not underflow."""
    found: np.ndarray = np.linalg.norm(rows.astype(np.float64), axis=-1)
    return found


def _unit(name: str) -> dict[str, str]:
    return {"units": UNITS[name]} if name in UNITS else {}
