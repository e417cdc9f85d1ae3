"""Reads a run's `laboratory.zarr` for a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnexp.core.axis import TIME, laboratory_axis
from rnnexp.report.page.pack import pack
from rnnexp.report.page.thin import Sizes, evenly, kept_sizes
from rnnexp.run.zarr_append import opened

LINEAR = (
    "lyapunov", "lyapunov_error", "kaplan_yorke", "singular", "spectral_radius", "spectral_norm",
    "gate_low", "gate_high", "dead", "saturated",
)  # fmt: skip
LOGARITHMIC = ("time_constant", "lag_norm")
THINNED = {"step": "analysed training steps", "time": "time steps", "exponent": "exponents"}
"""The dimensions that are thinned; the others are short, or their entries have names."""


def read_laboratory(run: Path, most: int, thinned: set[Sizes]) -> dict[str, Any] | None:
    """The variables that the page draws: `dims`, the `coords` of each and packed `values`.

    The dimension of the cell's axis is called `time`. They have at most about `most` values in
    all. The sizes of thinned dimensions are added to `thinned`. None if there are no variables;
    `UsageError` if the store cannot be read.
    """
    path = run / "laboratory.zarr"
    if not path.exists():
        return None
    with opened(path) as store:
        names = [name for name in (*LINEAR, *LOGARITHMIC) if name in store]
        axis = laboratory_axis([str(dim) for dim in store.dims])
        store = store.rename({axis: TIME}) if axis in store.dims else store
        arrays = {name: store[name].load() for name in names if "step" in store[name].dims}
    arrays = {name: array for name, array in arrays.items() if array.size}
    if not arrays:
        return None
    data, left = {}, most
    # The small ones come first and are kept whole; the large ones divide the rest.
    for number, name in enumerate(sorted(arrays, key=lambda name: arrays[name].size)):
        part = _thinned(arrays[name], max(1, left // (len(arrays) - number)), thinned)
        left -= part.size
        scale = "log" if name in LOGARITHMIC else "linear"
        dims = [str(dim) for dim in part.dims]
        coords = {dim: _coordinate(part, dim) for dim in dims}
        data[name] = {"dims": dims, "coords": coords, "values": pack(part.values, scale)}
    return data


def _thinned(array: Any, most: int, thinned: set[Sizes]) -> Any:
    dims = [dim for dim in array.dims if dim in THINNED]
    others = int(np.prod([array.sizes[dim] for dim in array.dims if dim not in THINNED], dtype=int))
    kept = kept_sizes([array.sizes[dim] for dim in dims], max(1, most // others))
    picks = {dim: evenly(array.sizes[dim], size) for dim, size in zip(dims, kept, strict=True)}
    thinned |= {
        Sizes(THINNED[str(dim)], array.sizes[dim], len(pick))
        for dim, pick in picks.items()
        if len(pick) < array.sizes[dim]
    }
    return array.isel(picks)


def _coordinate(array: Any, dim: str) -> Sequence[Any]:
    if dim not in array.coords:
        return list(range(array.sizes[dim]))
    values: list[Any] = array.coords[dim].values.tolist()
    return [value if isinstance(value, int | float) else str(value) for value in values]
