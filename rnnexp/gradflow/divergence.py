"""Where a gradient first left the finite range, in the order of the backward pass.

The backward pass runs from the last step to the first and from the top layer down, so
the first non-finite adjoint is the one at the latest step; at that step, the topmost.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Origin(NamedTuple):
    """The first non-finite adjoint: state leaf, layer (0 is the bottom), step, lag."""

    leaf: str
    layer: int
    time: int
    lag: int


def find_origin(norms: Mapping[str, np.ndarray]) -> Origin | None:
    """The origin in profiles (L, T) by state leaf; None if all of them are finite."""
    found = []
    for leaf, norms_LxT in norms.items():
        for layer, time in np.argwhere(~np.isfinite(norms_LxT)):
            found.append((int(time), int(layer), leaf))
    if not found:
        return None
    time, layer, leaf = max(found)
    steps = next(iter(norms.values())).shape[1]
    return Origin(leaf, layer, time, steps - 1 - time)
