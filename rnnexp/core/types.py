"""Aliases for arrays and trees, and the legend of the shape letters.

A name such as `x_TxBxI` carries its shape. The letters, everywhere in the project:

| letter | axis |
| --- | --- |
| T | time: steps of one sequence |
| B | batch: examples side by side |
| I | input features of a step |
| H | hidden units of a cell |
| O | outputs of a step: classes, or regression targets |
| L | layers of a stack |
| N | examples of a data set |
| S | flattened state of a cell |
| U | time: symbols of one target sequence, where that is not T |
| K | taps of a delay line |
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import jax

Array: TypeAlias = jax.Array
Key: TypeAlias = jax.Array
Tree: TypeAlias = Any
"""Any pytree of arrays."""
Params: TypeAlias = Mapping[str, Any]
State: TypeAlias = Mapping[str, Array]
"""A cell's state: its leaves by name, `{"h": h}` or `{"c": c, "h": h}`."""


class Batch(NamedTuple):
    """Sequences side by side. Lengths (valid steps, int32) are None when all are full.

    `target_lengths_B` counts the valid symbols of `targets` where those have a time
    axis of their own (asynchronous tasks), the stop symbol included.
    """

    inputs_TxBxI: Array
    targets: Array
    lengths_B: Array | None = None
    target_lengths_B: Array | None = None
