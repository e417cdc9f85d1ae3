"""Gradient profiles over (step, unit, time) in a Zarr store that grows by steps.

`xarray.open_zarr("RUN/gradients.zarr")` opens it. Its variables are `dL_dh` and, for cells
with more than one state leaf, `dL_dc` and so on. Its coordinates are the training step, the
unit (by name, the bottom one first) and the time step within the sequence. A unit or a batch
of shorter sequences has zeros in front. The last dimension has the name of the cell's axis: of a
memory network it is `hop` in place of `time`.

An older store calls a unit `layer`, numbers its rows and has their names in the attribute
`unit_names` of its variables. `by_unit` reads both; rows are appended as the store has them.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnnexp.core.axis import TIME
from rnnexp.core.files import made_beside
from rnnexp.run import zarr_append
from rnnexp.run.zarr_append import Labelled

if TYPE_CHECKING:
    import xarray

FLUSH_ROWS = 64
DESCRIPTION = (
    "mean over the batch of the Euclidean norm of the gradient of each example's loss by the "
    "state after this time step, the state's leaves taken as independent"
)


class GradientLog:
    """Appends profiles to a store; buffers rows until `flush`."""

    def __init__(self, path: Path, units: Sequence[str], axis: str = TIME):
        self.path = path
        self.axis = axis
        self.units = list(units)
        self._steps: list[int] = []
        self._rows: dict[str, list[np.ndarray]] = {}

    def append(self, step: int, norms: Mapping[str, np.ndarray]) -> None:
        """Add a step's profiles, (L, T) by state leaf."""
        self._steps.append(step)
        for leaf, norms_LxT in norms.items():
            self._rows.setdefault(leaf, []).append(norms_LxT)
        if len(self._steps) >= FLUSH_ROWS:
            self.flush()

    def extend(self, rows: Iterable[tuple[int, Mapping[str, np.ndarray]]]) -> None:
        """`append` for several steps."""
        for step, norms in rows:
            self.append(step, norms)

    def flush(self) -> None:
        """Write what is buffered; a kill leaves all of it there or nothing."""
        if not self._steps:
            return
        exists = zarr_append.exists(self.path)
        older = exists and "layer" in zarr_append.dimensions(self.path)
        dims = ("step", "layer" if older else "unit", self.axis)
        data = {
            f"dL_d{leaf}": Labelled(dims, np.stack(rows), _attributes(leaf))
            for leaf, rows in self._rows.items()
        }
        data["step"] = Labelled(dims[:1], np.array(self._steps))
        if exists:
            zarr_append.append(self.path, data)
        else:
            self._create(data)
        self._steps, self._rows = [], {}

    def truncate(self, step: int) -> None:
        """Drop the rows that a run resumed after `step` updates will write again."""
        self._steps, self._rows = [], {}
        if zarr_append.exists(self.path):
            zarr_append.cut(self.path, int(np.sum(zarr_append.steps(self.path) < step)))

    def _create(self, data: zarr_append.Data) -> None:
        """Make the store; it appears when it is complete."""
        times = next(variable.values.shape for variable in data.values())[2]
        labels = {
            "unit": Labelled(["unit"], np.array(self.units)),
            self.axis: Labelled([self.axis], np.arange(times, dtype=np.int32)),
        }
        with made_beside(self.path) as part:
            zarr_append.create(part, {**labels, **data})


def by_unit(data: "xarray.Dataset") -> "xarray.Dataset":
    """A store's Dataset over (step, unit, axis) with the units' names, if it is older too."""
    if "layer" not in data.dims:
        return data
    names = next(iter(data.data_vars.values())).attrs["unit_names"]
    data = data.rename(layer="unit").assign_coords(unit=[str(name) for name in names])
    for variable in data.data_vars.values():
        variable.attrs.pop("unit_names", None)
    return data


def _attributes(leaf: str) -> dict[str, object]:
    return {"long_name": f"||dL/d{leaf}_t||", "description": DESCRIPTION}
