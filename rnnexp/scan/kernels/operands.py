"""What a kernel is given, compared with what it must be, while a program is traced.

XLA's own operations refuse operands that do not fit; a kernel gets addresses. The native code
compares again what reaches it (`native/operands.h`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params, State
from rnnexp.scan.kernels.cells import CELLS

FLOATS = ("float32", "float64")
"""The float types that there are kernels for; all operands of a call are of one of them."""
Shape = tuple[int, ...]


class Sizes(NamedTuple):
    """Time steps, examples, input features and hidden units of a call."""

    T: int
    B: int
    I: int  # noqa: E741
    H: int


def check_operands(
    kernel: str,
    params: Params,
    inputs_TxBxI: Array,
    state: State,
    *,
    lengths_B: Array | None,
    slots: State | None,
    norms: bool = False,
) -> Sizes:
    """The sizes of a call of a kernel, none of whose operands is amiss.

    Args:
      kernel: a name of `cells.CELLS`; the kernels of both devices take the same operands.
      params, inputs_TxBxI, state, lengths_B, slots: the operands, as in `cpu.recurrence`.
      norms: the slots are (T, B), not (T, B, H).

    Raises `UsageError`, which names the operand, what came and what was expected.
    """
    cell = CELLS[kernel]
    leaves = cell.leaves
    _check_names(kernel, "parameters", params, cell.weights)
    _check_names(kernel, "state", state, leaves)
    _check_names(kernel, "slots", slots or {}, leaves, some=True)
    inputs = _axes(kernel, "the input", inputs_TxBxI, "T, B, I")
    rows = _axes(kernel, "w_x", params["w_x"], "I, gates * H")
    last, axes = ("w_h", "H, gates * H") if cell.recurrent else ("the state h", "B, H")
    sized = params["w_h"] if cell.recurrent else state["h"]
    H = _axes(kernel, last, sized, axes)[0 if cell.recurrent else 1]
    T, B, I = inputs[0], inputs[1], rows[0]  # noqa: E741
    dtype = sized.dtype.name
    if dtype not in FLOATS:
        raise _refused(kernel, last, sized, " or ".join(FLOATS))
    known: dict[str, tuple[Shape, str]] = {
        "w_x": ((I, cell.gates * H), "I, gates * H"),
        "w_h": ((H, cell.gates * H), "H, gates * H"),
        "b": ((cell.gates * H,), "gates * H"),
        "b_hn": ((H,), "H"),
        "p": ((cell.own, H), "weights of a unit's own state, H"),
    }
    shapes: dict[str, tuple[Any, Shape, str]] = {
        name: (params[name], *known[name]) for name in cell.weights
    }
    whole = "T, B, I: the input size of the cell and its task"
    shapes["the input"] = (inputs_TxBxI, (T, B, I), whole)
    for leaf in leaves:
        shapes[f"the state {leaf}"] = (state[leaf], (B, H), "B, H")
    for leaf, slot in (slots or {}).items():
        slot_shape: Shape = (T, B) if norms else (T, B, H)
        shapes[f"the slot of {leaf}"] = (slot, slot_shape, "T, B" if norms else "T, B, H")
    for name, (array, shape, axes) in shapes.items():
        _check(kernel, name, array, dtype, shape, axes)
    if lengths_B is not None:
        _check(kernel, "lengths", lengths_B, "int32", (B,), "B")
    return Sizes(T, B, I, H)


def _check_names(
    kernel: str, kind: str, given: Mapping[str, Any], known: tuple[str, ...], some: bool = False
) -> None:
    """A kernel knows nothing of other leaves, and would leave them out without a word."""
    if set(given) == set(known) or (some and set(given) <= set(known)):
        return
    raise UsageError(
        f"the kernel of {kernel} has other {kind}: {', '.join(map(str, given)) or 'none'} given, "
        f"{', '.join(known)} expected"
    )


def _axes(kernel: str, name: str, array: Array, axes: str) -> Shape:
    if array.ndim != axes.count(",") + 1:
        raise _refused(kernel, name, array, f"{axes.count(',') + 1} axes ({axes})")
    return array.shape


def _check(kernel: str, name: str, array: Array, dtype: str, shape: Shape, axes: str) -> None:
    if array.shape != shape or array.dtype.name != dtype:
        raise _refused(kernel, name, array, f"{described(dtype, shape)} ({axes})")


def _refused(kernel: str, name: str, array: Array, expected: str) -> UsageError:
    came = described(array.dtype.name, array.shape)
    return UsageError(f"the kernel of {kernel} cannot take {name}: {came}, expected {expected}")


def described(dtype: str, shape: Shape) -> str:
    """`float32[9,4,2]`."""
    return f"{dtype}[{','.join(map(str, shape))}]"
