"""The first non-finite adjoint in the order of the backward pass, and state of the forward pass.

The backward pass runs from the last step to the first and from the top unit down, so
the first non-finite adjoint is at the latest step; at that step, in the topmost unit. A
unit that reads backwards ends at the sequence's first step, and a decoder comes, as a
whole, after its encoder.

In the forward pass of a stack that reads in one direction, a state depends on no later step and
on no upper unit: the first is at the earliest step, and there in the lowest unit. With a second
direction an upper unit depends on all steps of the lower ones: the first is in the lowest unit.
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
    """The first non-finite adjoint or state: leaf, unit, step, and steps before the unit's end."""

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


def find_forward_origin(
    nonfinite: Sequence[Mapping[str, np.ndarray]], units: Sequence[UnitOrder]
) -> Origin | None:
    """The first state that is not finite in a forward pass; None if all are.

    Args:
      nonfinite: of each unit by state leaf, after which steps the state of any example is not
        finite, (T,) in the sequence's own order.
    """
    layered = {unit.part for unit in units if unit.backward}
    found = []
    for row, (unit, leaves) in enumerate(zip(units, nonfinite, strict=True)):
        for number, (leaf, bad_T) in enumerate(leaves.items()):
            for time in np.flatnonzero(bad_T).tolist():
                passed = len(bad_T) - 1 - time if unit.backward else time
                place = (row, passed) if unit.part in layered else (passed, row)
                lag = len(bad_T) - 1 - passed
                found.append(((unit.part, *place, number), Origin(leaf, unit.name, time, lag)))
    return min(found)[1] if found else None
