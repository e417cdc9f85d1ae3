"""What the steps of a chunk record: one row of numbers a step, cut up on the host.

Every array that a branch or a scan hands over is a small program of its own, to compile and
at every step; so on the device all that a step records is one vector. What its numbers mean
is known when the chunk is traced, and comes with them.
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
    """What a chunk reports, with a leading axis over its steps, on the host.

    `recorded` says which rows hold figures; the others are zeros. `scalars` are by name
    and `norms` are profiles (L, T) by state leaf, one row a unit. A unit or bucket with
    fewer steps than T has zeros in front, so that lags agree.
    """

    step: np.ndarray
    recorded: np.ndarray
    scalars: Mapping[str, np.ndarray]
    norms: Mapping[str, np.ndarray]


class Contents(NamedTuple):
    """What a row holds: the tree that it was made of, shapes and types of its leaves."""

    structure: Any
    leaves: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]

    @property
    def size(self) -> int:
        """How many numbers a row has."""
        return sum(int(np.prod(shape)) for shape, _ in self.leaves)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["step", "recorded", "values"],
    meta_fields=["contents"],
)
@dataclass(frozen=True)
class RecordRows:
    """What a chunk reports, on the device: `values` are (steps, numbers), zeros where nothing
    was `recorded`; lanes side by side add an axis in front. `contents` is no array: it goes
    through compiled functions as it is."""

    step: Array
    recorded: Array
    values: Array
    contents: Contents


def as_row(tree: Tree) -> Array:
    """All leaves in one vector, in the default float type."""
    return flat(jax.tree.map(lambda leaf: leaf.astype(float), tree))


def contents_of(shapes: Tree) -> Contents:
    """What `as_row` makes a vector of, from a tree with such shapes and types."""
    leaves, structure = jax.tree.flatten(shapes)
    return Contents(structure, tuple((leaf.shape, np.dtype(leaf.dtype)) for leaf in leaves))


def from_rows(values: np.ndarray, contents: Contents) -> Any:
    """The tree that the vectors `values` (steps, numbers) were made of, with an axis of steps."""
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
    """Rows of one lane that lie on the host, by name.

    Their contents are what the backward pass measured (scalars and norms), and the scalars
    of the update.
    """
    (scalars, norms), more = from_rows(np.asarray(rows.values), rows.contents)
    by_name = dict(sorted({**scalars, **more}.items()))
    return Records(np.asarray(rows.step), np.asarray(rows.recorded), by_name, norms)
