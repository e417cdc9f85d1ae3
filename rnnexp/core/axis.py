"""What a step is called along a cell's axis: time, hop, update, propagation, gibbs, ...

Stores name the dimension after the axis; tables and pictures use these words.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray

TIME = "time"
"""The axis of a cell that reads a sequence."""
PROCESSES = ("propagation", "gibbs")
"""Axes whose name is that of a process, not of one step of it."""
LABORATORY_DIMENSIONS = (
    "step", "unit", "exponent", "span", "rank", "matrix", "gate", "parameter", "lag", "setting",
    "output_time",
)  # fmt: skip
"""The dimensions of `laboratory.zarr` besides the axis."""


def step_of(axis: str) -> str:
    """One step along an axis: `step` in time, `propagation step`, else the axis itself: `hop`."""
    if axis == TIME:
        return "step"
    return f"{axis} step" if axis in PROCESSES else axis


def steps_of(axis: str) -> str:
    """Several steps along an axis: `steps`, `hops`, `updates`."""
    return f"{step_of(axis)}s"


def step_of_all(axes: Iterable[str]) -> str:
    """`step_of` if all axes are the same, else `step`."""
    words = {step_of(axis) for axis in axes}
    return words.pop() if len(words) == 1 else "step"


def axis_label(axis: str) -> str:
    """The label of a picture's axis: `time step t`, `hop`."""
    return "time step t" if axis == TIME else step_of(axis)


def lag_label(axes: Iterable[str]) -> str:
    """The label of a picture's lags: `lag: steps before the last one`, `lag in hops: ...`."""
    word = step_of_all(axes)
    before = f"{word}s before the last one"
    return f"lag: {before}" if word == "step" else f"lag in {word}s: {before}"


def laboratory_step(data: "xarray.Dataset") -> str:
    """What a step is in a `laboratory.zarr`, by the units of its exponents or spans."""
    for name, begin in (("lyapunov", "nats per "), ("span", ""), ("lag", "")):
        if name in data.variables and (units := data[name].attrs.get("units", "")):
            return str(units).removeprefix(begin).removesuffix("s")
    return "step"


def laboratory_axis(dimensions: Sequence[str]) -> str:
    """The axis among the dimensions of a `laboratory.zarr`; `time` if none has it."""
    others = [dim for dim in dimensions if dim not in LABORATORY_DIMENSIONS]
    return others[0] if others else TIME
