"""Measurements of the laboratory, in a Zarr store that grows by training steps.

`xarray.open_zarr("RUN/laboratory.zarr")` opens it. Variables and dimensions are those of
`rnnexp.laboratory.examine`, with the dimension `step` (updates made) in front. Steps ascend,
and none comes twice.

Rows are appended by `rnnexp.run.zarr_append`, because zarr itself needs as long as many
training steps for some twenty small variables. All rows of a flush appear at once. What a
kill leaves behind is repaired by `truncate` or the next flush. If a row belongs between
others, or has labels that the store lacks, a new store is made beside the old one. A lock
keeps training and `rnnexp analyze` apart.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnnexp.core.files import made_beside
from rnnexp.core.locks import wait_for_lock
from rnnexp.run import zarr_append

if TYPE_CHECKING:
    import xarray

FLUSH_ROWS = 64


class LaboratoryLog:
    """Appends measured rows to a run's store; buffers rows until `flush`."""

    def __init__(self, path: Path):
        self.path = path
        self._old = path.with_name(f".{path.name}.old")
        self._gone = path.with_name(f".{path.name}.gone")
        self._rows: list[xarray.Dataset] = []
        self._known: tuple[bytes, dict[str, np.ndarray]] | None = None

    def append(self, data: "xarray.Dataset") -> None:
        """Add rows, as a Dataset with the dimension `step`."""
        self._rows.append(data)
        if len(self._rows) >= FLUSH_ROWS:
            self.flush()

    def append_made(self, make: "Callable[[], xarray.Dataset]") -> None:
        """`append` what `make` returns; only the process that has the store calls it."""
        self.append(make())

    def flush(self) -> None:
        """Write what is buffered; a new row replaces an older one of the same step."""
        if not self._rows:
            return
        data = self._rows[0]
        for more in self._rows[1:]:
            data = merged(data, more)
        with self._locked():
            fitting = self._fitting(data)
            if fitting is None:
                self._rewrite(data)
            else:
                labels = self._labels()
                zarr_append.append(self.path, labelled(fitting))
                self._known = (zarr_append.stamp(self.path), labels)
        self._rows = []

    def truncate(self, step: int | None) -> None:
        """Drop the rows after `step` updates, which a resumed run measures again; None: all."""
        self._rows = []
        if not self._there():
            return
        with self._locked():
            steps = zarr_append.steps(self.path)
            kept = 0 if step is None else int(np.sum(steps <= step))
            if kept:
                zarr_append.cut(self.path, kept)
            else:
                self._discard()

    def steps(self) -> list[int]:
        """The training steps of all rows, ascending."""
        stored = []
        if self._there():
            with self._locked():
                stored = zarr_append.steps(self.path).tolist()
        return sorted({*stored, *(int(s) for data in self._rows for s in data["step"].values)})

    def has(self, step: int) -> bool:
        """Whether there is a row of this training step."""
        return step in self.steps()

    def load(self) -> "xarray.Dataset | None":
        """What is in the store, in memory; None if there is none."""
        if not self._there():
            return None
        with self._locked():
            return zarr_append.load(self.path)

    def _there(self) -> bool:
        """Whether there is a store, even if a kill interrupted its replacement."""
        return zarr_append.exists(self.path) or zarr_append.exists(self._old)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the store's lock, and first repair what a kill has interrupted."""
        with self.path.with_name("laboratory.lock").open("a") as lock:
            wait_for_lock(lock, lock.name)
            shutil.rmtree(self._gone, ignore_errors=True)
            if self._old.exists():
                if zarr_append.exists(self.path):
                    shutil.rmtree(self._old)
                else:
                    self._old.rename(self.path)
            yield

    def _labels(self) -> dict[str, np.ndarray]:
        """The labels of all dimensions but `step`; read again if another process wrote to it."""
        stamp = zarr_append.stamp(self.path)
        if self._known is None or self._known[0] != stamp:
            data = zarr_append.load(self.path)
            self._known = (stamp, {str(k): v.values for k, v in data.coords.items() if k != "step"})
        return self._known[1]

    def _fitting(self, data: "xarray.Dataset") -> "xarray.Dataset | None":
        """The rows with the store's own labels; None if they cannot be appended to it."""
        if not zarr_append.exists(self.path):
            return None
        steps = zarr_append.steps(self.path)
        if len(steps) and int(data["step"][0]) <= steps[-1]:
            return None
        labels = self._labels()
        here = {str(k): v.values for k, v in data.coords.items() if k != "step"}
        if any(name not in labels or not _within(v, labels[name]) for name, v in here.items()):
            return None
        if not {str(name) for name in data.data_vars} <= zarr_append.variables(self.path):
            return None
        changed = {k: labels[k] for k, v in here.items() if not np.array_equal(v, labels[k])}
        return data.reindex(changed) if changed else data

    def _rewrite(self, data: "xarray.Dataset") -> None:
        """Make the store anew, with these rows in their order."""
        if zarr_append.exists(self.path):
            data = merged(zarr_append.load(self.path), data)
        with made_beside(self.path) as part:
            zarr_append.create(part, labelled(data))
            if self.path.exists():
                self.path.rename(self._old)
        shutil.rmtree(self._old, ignore_errors=True)

    def _discard(self) -> None:
        self.path.rename(self._gone)
        shutil.rmtree(self._gone)


def labelled(data: "xarray.Dataset") -> zarr_append.Data:
    """The variables of a Dataset, its labels among them."""
    return {
        str(name): zarr_append.Labelled([str(dim) for dim in of.dims], of.values, of.attrs)
        for name, of in data.variables.items()
    }


def merged(old: "xarray.Dataset", new: "xarray.Dataset") -> "xarray.Dataset":
    """The rows of both in order, with the labels and variables of both; of a step, the new row."""
    import xarray

    kept = old.sel(step=~np.isin(old["step"].values, new["step"].values))
    parts = [part for part in (kept, new) if part.sizes["step"]]
    if len(parts) == 1:
        return parts[0].sortby("step")
    for name in {*map(str, kept.data_vars), *map(str, new.data_vars)}:
        for number, part in enumerate(parts):
            if name not in part:
                like = parts[1 - number][name]
                parts[number] = part.assign({name: _nothing(like, part["step"].values)})
    whole: xarray.Dataset = xarray.concat(
        parts, "step", data_vars="all", coords="minimal", compat="equals", join="outer",
        combine_attrs="override",
    )  # fmt: skip
    return whole.sortby("step")


def _nothing(like: "xarray.DataArray", steps: np.ndarray) -> "xarray.DataArray":
    """A variable of NaN at the given steps, with the labels of `like`."""
    import xarray

    sizes = {**like.sizes, "step": len(steps)}
    labels = {name: value for name, value in like.coords.items() if name != "step"}
    values = np.full([sizes[dim] for dim in like.dims], np.nan, like.dtype)
    return xarray.DataArray(values, {**labels, "step": steps}, like.dims, attrs=like.attrs)


def _within(labels: np.ndarray, of: np.ndarray) -> bool:
    return len(set(labels.tolist()) - set(of.tolist())) == 0
