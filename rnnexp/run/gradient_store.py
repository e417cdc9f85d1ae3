"""Gradient profiles over (step, layer, time) in a Zarr store that grows by steps.

`xarray.open_zarr("RUN/gradients.zarr")` opens it. Variables: `dL_dh` and, for cells
with more than one state leaf, `dL_dc` and so on; the coordinates are training step,
layer (one row a unit, the bottom one first; the attribute `unit_names` has their names) and
time step within the sequence. A shorter unit or sequence has zeros in front.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from rnnexp.core.files import made_beside
from rnnexp.run import zarr_append
from rnnexp.run.zarr_append import Labelled

DIMENSIONS = ("step", "layer", "time")
FLUSH_ROWS = 64
DESCRIPTION = (
    "mean over the batch of the Euclidean norm of the gradient of each example's loss by the "
    "state after this time step, the state's leaves taken as independent"
)


class GradientLog:
    """Appends profiles to a store; buffers rows until `flush`."""

    def __init__(self, path: Path, units: Sequence[str]):
        self.path = path
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
        data = {
            f"dL_d{leaf}": Labelled(DIMENSIONS, np.stack(rows), self._about(leaf))
            for leaf, rows in self._rows.items()
        }
        data["step"] = Labelled(DIMENSIONS[:1], np.array(self._steps))
        if zarr_append.exists(self.path):
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
        sizes = next(variable.values.shape for variable in data.values())[1:]
        labels = {
            dim: Labelled([dim], np.arange(size, dtype=np.int32))
            for dim, size in zip(DIMENSIONS[1:], sizes, strict=True)
        }
        with made_beside(self.path) as part:
            zarr_append.create(part, {**labels, **data})

    def _about(self, leaf: str) -> dict[str, object]:
        return {
            "long_name": f"||dL/d{leaf}_t||",
            "description": DESCRIPTION,
            "unit_names": self.units,
        }
