"""Arrays of unequal lengths, filled up with NaN, and Datasets with units."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnexp.laboratory.units import UNITS

if TYPE_CHECKING:
    import xarray

Variables = dict[str, tuple[tuple[str, ...], np.ndarray]]
"""Dimensions and values by name."""


def padded(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The array, filled up with NaN at the end of each axis."""
    widths = [(0, wanted - size) for wanted, size in zip(shape, array.shape, strict=True)]
    return np.pad(array, widths, constant_values=np.nan) if any(b for _, b in widths) else array


def stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The arrays with a leading axis, each filled up to the largest with NaN."""
    shape = tuple(max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True))
    return np.stack([padded(array, shape) for array in arrays])


def labelled(variables: Variables, coordinates: Mapping[str, Any]) -> "xarray.Dataset":
    """A Dataset whose variables and dimensions have the attribute `units`, where `UNITS` does."""
    import xarray

    def unit(name: str) -> dict[str, str]:
        return {"units": UNITS[name]} if name in UNITS else {}

    return xarray.Dataset(
        {name: (dims, values, unit(name)) for name, (dims, values) in variables.items()},
        {name: (name, values, unit(name)) for name, values in coordinates.items()},
    )
