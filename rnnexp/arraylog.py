"""Gradient profiles over (step, layer, time) in a Zarr store that grows by steps.

`xarray.open_zarr("RUN/gradients.zarr")` opens it. Variables: `dL_dh` and, for cells
with more than one state leaf, `dL_dc` and so on; the coordinates are training step,
layer (one row a unit, the bottom one first; the attribute `unit_names` has their names) and
time step within the sequence. A shorter unit or sequence has zeros in front.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import zarr

DIMENSIONS = ("step", "layer", "time")
CHUNK_STEPS = 64
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
        if len(self._steps) >= CHUNK_STEPS:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered. Interrupted at any point, `truncate` mends the store."""
        if not self._steps:
            return
        arrays = {f"dL_d{leaf}": np.stack(rows) for leaf, rows in self._rows.items()}
        if not (self.path / "zarr.json").exists():
            _create(self.path, {name: rows.shape[1:] for name, rows in arrays.items()}, self.units)
        store = zarr.open_group(self.path, mode="r+", use_consolidated=False)
        for name, rows in (arrays | {"step": np.asarray(self._steps, np.int32)}).items():
            array = _array(store, name)
            start = array.shape[0]
            array.resize((start + len(rows), *array.shape[1:]))
            array[start:] = rows
        _consolidate(self.path)
        self._steps, self._rows = [], {}

    def truncate(self, step: int) -> None:
        """Drop the rows that a run resumed after `step` updates will write again."""
        self._steps, self._rows = [], {}
        if not (self.path / "zarr.json").exists():
            return
        store = zarr.open_group(self.path, mode="r+", use_consolidated=False)
        steps = np.asarray(_array(store, "step")[:])
        # A kill between resize and write leaves zeros, so only a rising beginning counts.
        rising = np.diff(steps, prepend=-1) > 0
        kept = int(np.sum(np.logical_and.accumulate(rising & (steps < step))))
        for name in store.array_keys():
            if name not in DIMENSIONS[1:]:
                array = _array(store, name)
                array.resize((kept, *array.shape[1:]))
        _consolidate(self.path)


def _array(store: zarr.Group, name: str) -> zarr.Array:
    array = store[name]
    if not isinstance(array, zarr.Array):
        raise TypeError(f"{name} in {store.path} is not an array")
    return array


def _create(path: Path, shapes: Mapping[str, Sequence[int]], units: list[str]) -> None:
    """An empty store beside the target, renamed into place when it is complete."""
    part = path.with_name(f".{path.name}.part")
    store = zarr.create_group(part, overwrite=True)
    layers, times = next(iter(shapes.values()))
    for name, size in (("layer", layers), ("time", times)):
        array = store.create_array(name, shape=(size,), dtype="int32", dimension_names=[name])
        array[:] = np.arange(size, dtype=np.int32)
    store.create_array("step", shape=(0,), chunks=(1024,), dtype="int32", dimension_names=["step"])
    for name, (layers, times) in shapes.items():
        store.create_array(
            name,
            shape=(0, layers, times),
            chunks=(CHUNK_STEPS, layers, times),
            dtype="float32",
            dimension_names=list(DIMENSIONS),
            attributes={
                "long_name": f"||{name.replace('_', '/')}_t||",
                "description": DESCRIPTION,
                "unit_names": units,
            },
        )
    _consolidate(part)
    part.rename(path)


def _consolidate(path: Path) -> None:
    """Gather the metadata in one place, where xarray looks first."""
    with warnings.catch_warnings():
        # Zarr points out that version 3 of the format does not specify it yet.
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata.*")
        zarr.consolidate_metadata(path)
