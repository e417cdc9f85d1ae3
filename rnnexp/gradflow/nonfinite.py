"""The first non-finite adjoint, in the order of the backward pass.

The backward pass runs from the last step to the first and from the top unit down, so
the first non-finite adjoint is at the latest step; at that step, in the topmost unit. A
unit that reads backwards ends at the sequence's first step, and a decoder comes, as a
whole, after its encoder.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class UnitOrder(NamedTuple):
    """A unit's place in the backward pass: its direction, and `part`, 1 in a decoder, else 0."""

    name: str
    backward: bool = False
    part: int = 0


class Origin(NamedTuple):
    """The first non-finite adjoint: state leaf, unit, step, and steps before the unit's end."""

    leaf: str
    unit: str
    time: int
    lag: int


def find_origin(norms: Mapping[str, np.ndarray], units: Sequence[UnitOrder]) -> Origin | None:
    """The origin in profiles (L, T) by state leaf, a row a unit; None if all are finite."""
    nonfinite = []
    for leaf, norms_LxT in norms.items():
        last = norms_LxT.shape[1] - 1
        for row, time in np.argwhere(~np.isfinite(norms_LxT)):
            unit = units[row]
            passed = last - time if unit.backward else time
            nonfinite.append(((unit.part, int(passed), int(row), leaf), int(time), last))
    if not nonfinite:
        return None
    (_, passed, row, leaf), time, last = max(nonfinite)
    return Origin(leaf, units[row].name, time, last - passed)
