"""What a page shows of a run's `laboratory.zarr`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnexp.report.page.pack import pack
from rnnexp.report.page.thin import evenly, kept_sizes
from rnnexp.run.zarr_append import opened

LINEAR = (
    "lyapunov", "lyapunov_error", "kaplan_yorke", "singular", "spectral_radius", "spectral_norm",
    "gate_low", "gate_high", "dead", "saturated",
)  # fmt: skip
LOGARITHMIC = ("time_constant", "lag_norm")
THINNED = {"step": "analysed training steps", "time": "time steps", "exponent": "exponents"}
"""Dimensions that are thinned; the others are short, or their entries have names."""


class KeptVariable(NamedTuple):
    """A run's laboratory for the page, and what thinning took away.

    `data`: by variable its `dims`, the `coords` of each and the packed `values`. `sizes`: of
    each thinned dimension, how many entries there were and how many are kept.
    """

    data: dict[str, Any]
    sizes: list[tuple[str, int, int]]


def read_laboratory(run: Path, most: int) -> KeptVariable | None:
    """The variables that the page draws, at most about `most` values in all; None without any.

    Raises `UsageError` if the store cannot be read.
    """
    path = run / "laboratory.zarr"
    if not path.exists():
        return None
    with opened(path) as store:
        names = [name for name in (*LINEAR, *LOGARITHMIC) if name in store]
        arrays = {name: store[name].load() for name in names if "step" in store[name].dims}
    arrays = {name: array for name, array in arrays.items() if array.size}
    if not arrays:
        return None
    data, sizes, left = {}, list[tuple[str, int, int]](), most
    # The small ones first: they are kept whole, and the large ones share what is left.
    for number, name in enumerate(sorted(arrays, key=lambda name: arrays[name].size)):
        part, changed = _thinned(arrays[name], max(1, left // (len(arrays) - number)))
        left -= part.size
        scale = "log" if name in LOGARITHMIC else "linear"
        dims = [str(dim) for dim in part.dims]
        coords = {dim: _coordinate(part, dim) for dim in dims}
        data[name] = {"dims": dims, "coords": coords, "values": pack(part.values, scale)}
        sizes += changed
    return KeptVariable(data, sorted(set(sizes)))


def _thinned(array: Any, most: int) -> tuple[Any, list[tuple[str, int, int]]]:
    dims = [dim for dim in array.dims if dim in THINNED]
    others = int(np.prod([array.sizes[dim] for dim in array.dims if dim not in THINNED], dtype=int))
    kept = kept_sizes([array.sizes[dim] for dim in dims], max(1, most // others))
    picks = {dim: evenly(array.sizes[dim], size) for dim, size in zip(dims, kept, strict=True)}
    changed = [
        (THINNED[str(dim)], array.sizes[dim], len(pick))
        for dim, pick in picks.items()
        if len(pick) < array.sizes[dim]
    ]
    return array.isel(picks), changed


def _coordinate(array: Any, dim: str) -> Sequence[Any]:
    if dim not in array.coords:
        return list(range(array.sizes[dim]))
    values: list[Any] = array.coords[dim].values.tolist()
    return [value if isinstance(value, int | float) else str(value) for value in values]
