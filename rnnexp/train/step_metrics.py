"""Records of the steps of a chunk: one vector a step on the device, split on the host.

Every array that a branch or a scan returns costs a small program, to compile and at every step;
so a step's figures are one vector. Tracing the chunk gives its structure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from rnnexp.core.tree import flat
from rnnexp.core.types import Array, Tree


class Records(NamedTuple):
    """The records of a chunk, with a leading axis over its steps, on the host.

    Rows that are not `recorded` are zeros. `scalars` are by name, and `norms` are profiles
    (L, T) by state leaf, one row a unit, with zeros in front for fewer steps than T, so that
    lags agree.
    """

    step: np.ndarray
    recorded: np.ndarray
    scalars: Mapping[str, np.ndarray]
    norms: Mapping[str, np.ndarray]


class Contents(NamedTuple):
    """The structure of a row's tree, and the shapes and types of its leaves."""

    structure: Any
    leaves: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]

    @property
    def size(self) -> int:
        """The number of scalars of a row."""
        return sum(int(np.prod(shape)) for shape, _ in self.leaves)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["step", "recorded", "values"],
    meta_fields=["contents"],
)
@dataclass(frozen=True)
class RecordRows:
    """The records of a chunk on the device: `values` are (steps, numbers), zeros where nothing
    was `recorded`; lanes side by side add an axis in front. `contents` is static."""

    step: Array
    recorded: Array
    values: Array
    contents: Contents


def as_row(tree: Tree) -> Array:
    """All leaves in one vector, in the default float type."""
    return flat(jax.tree.map(lambda leaf: leaf.astype(float), tree))


def contents_of(shapes: Tree) -> Contents:
    """The contents of an `as_row` vector, from a tree with its shapes and types."""
    leaves, structure = jax.tree.flatten(shapes)
    return Contents(structure, tuple((leaf.shape, np.dtype(leaf.dtype)) for leaf in leaves))


def from_rows(values: np.ndarray, contents: Contents) -> Any:
    """The tree of the vectors `values` (steps, numbers), with an axis of steps."""
    sizes = [int(np.prod(shape)) for shape, _ in contents.leaves]
    parts = np.split(values, np.cumsum(sizes)[:-1], axis=1)
    return jax.tree.unflatten(
        contents.structure,
        [
            part.reshape(-1, *shape).astype(dtype)
            for part, (shape, dtype) in zip(parts, contents.leaves, strict=True)
        ],
    )


def read_rows(rows: RecordRows) -> Records:
    """The records of one lane's rows, which are on the host.

    Their contents are scalars and norms of the backward pass, and scalars of the update.
    """
    (scalars, norms), more = from_rows(np.asarray(rows.values), rows.contents)
    by_name = dict(sorted({**scalars, **more}.items()))
    return Records(np.asarray(rows.step), np.asarray(rows.recorded), by_name, norms)
