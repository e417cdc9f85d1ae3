"""Expands the space of a sweep into the configurations of its runs.

A point starts from the defaults of its own experiment TASK/CELL. The changes of the base (a
file, `--config.KEY=VALUE`) come next, and then the values of the axes. A key that does not exist
for an experiment is left out there, with a log line. Experiments always form a full grid: with
random:N each of them gets the same N draws of the other axes.
"""

import copy
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp.config.choices import choose
from rnnexp.config.schema import assign, finish, settle_durations
from rnnexp.core.errors import UsageError
from rnnexp.core.seeds import require_seed
from rnnexp.sweep.axes import (
    EXPERIMENT,
    Axis,
    Group,
    Space,
    drawn,
    interval,
    kind_of,
    parse_space,
    require_number,
    typed,
    typed_values,
    whole_ends,
)
from rnnexp.sweep.starting_points import (
    Base,
    Start,
    chooses_experiment,
    find_starts,
    kind_in,
    load_space,
    make_start,
    read_base,
)

__all__ = [
    "Axis", "Base", "Point", "Space", "Suggestion", "expand", "experiments", "interval",
    "load_space", "parse_space", "point", "read_base", "suggestion_axes",
]  # fmt: skip

logger = logging.getLogger("rnnexp")


@dataclass(frozen=True)
class Point:
    """One run: its configuration, and the values of the swept keys, the seed among them."""

    config: FrozenConfigDict
    changes: dict[str, Any]


@dataclass(frozen=True)
class Suggestion:
    """What a search suggests at once: the value of one axis, or of several that are zipped.

    Attributes:
      keys: the keys of the configuration.
      choices: the values to choose from, each with one entry for each key; None: an interval.
      scale: list, log or linear.
      low, high: the ends of a log or linear axis, both included.
      integer: whether the interval is one of whole numbers.
    """

    keys: tuple[str, ...]
    choices: tuple[tuple[Any, ...], ...] | None
    scale: str
    low: float
    high: float
    integer: bool


def expand(space: Space, base: Base) -> list[Point]:
    """All points of a space, each once: experiments outermost, seeds innermost.

    Raises:
      UsageError: for a key that no experiment has; for a value of the wrong type or out of its
        range (naming the point); for an interval without a count where nothing is drawn; or if
        no pair of task and cell fits.
    """
    found: dict[FrozenConfigDict, Point] = {}
    number = 0
    for start, chosen in find_starts(space, base):
        for values in _combinations(space, start):
            for made in _points(space, base, start, chosen | values):
                number += 1
                found.setdefault(made.config, made)
    if number > len(found):
        logger.info(
            "%d of the sweep's %d points have the configuration of another one; that is run once",
            number - len(found), number,
        )  # fmt: skip
    return list(found.values())


def experiments(space: Space, base: Base) -> list[dict[str, Any]]:
    """The values of the groups that choose task or cell, for every pair of these that fits."""
    return [chosen for _, chosen in find_starts(space, base)]


def suggestion_axes(space: Space, base: Base) -> list[Suggestion]:
    """What a search has to suggest: one item for each group of axes."""
    starts = [start for start, _ in find_starts(space, base)]

    def suggestion(group: Group) -> Suggestion:
        kinds = [next(kind_in(axis, s) for s in starts if axis.key in s.values) for axis in group]
        axis, kind, choices = group[0], kinds[0], None
        if axis.values is not None:
            columns = [typed_values(axis, kind) for axis, kind in zip(group, kinds, strict=True)]
            choices = tuple(zip(*columns, strict=True))
        else:
            require_number(axis, kind)
        ends = axis.low, axis.high
        if choices is None and kind is int:
            ends = whole_ends(axis)
        keys = tuple(axis.key for axis in group)
        return Suggestion(keys, choices, axis.scale, *ends, kind is int)

    return [suggestion(group) for group in space.groups]


def point(space: Space, base: Base, changes: dict[str, Any]) -> Point:
    """The point with chosen values of the space's keys, and of `seed` (else the base's).

    A key that does not exist for the chosen experiment is left out.

    Raises:
      UsageError: as `expand` does, and for a key that is not swept.
    """
    keys = {axis.key for axis in space.axes}
    for key in changes:
        if key not in keys and key != "seed":
            raise UsageError(f"{key} is no axis of the sweep; those are {', '.join(sorted(keys))}")
    task, _, cell = base.name.partition("/")
    start = make_start(base, f"{changes.get('task.name', task)}/{changes.get('cell.name', cell)}")
    values = {
        key: typed(key, value, kind_of(key, start.config))
        for key, value in changes.items()
        if key in start.values
    }
    seed = values.pop("seed", start.values["seed"])
    return next(_points(Space(space.groups, (seed,)), base, start, values))


def _points(space: Space, base: Base, start: Start, values: dict[str, Any]) -> Iterator[Point]:
    """The points of one experiment with these values, one for each seed."""
    config = copy.deepcopy(start.config)
    choose(config, values)
    assign(config, {key: value for key, value in values.items() if key not in EXPERIMENT})
    settle_durations(config, start.values, {*base.overrides, *values})
    first = start.values["seed"]
    seeds = range(first, first + space.seeds) if isinstance(space.seeds, int) else space.seeds
    require_seed("--seeds: the last of so many seeds", seeds[-1])
    for number, seed in enumerate(seeds):
        config.seed = seed
        changes = values | {"seed": seed}
        try:
            # seeds are not negative, so that a change of the seed needs no second validation
            frozen = FrozenConfigDict(config) if number else finish(config)
        except UsageError as error:
            text = ", ".join(f"{key}={value}" for key, value in changes.items())
            raise UsageError(f"point {text} of the sweep: {error}") from error
        yield Point(frozen, changes)


def _combinations(space: Space, start: Start) -> Iterator[dict[str, Any]]:
    """Values of the groups that do not choose the experiment, for the keys that it has."""
    groups = [group for group in space.groups if not chooses_experiment(group)]
    kept = [tuple(axis for axis in group if axis.key in start.values) for group in groups]
    if space.random is not None:
        uniform = np.random.default_rng(space.draw_seed).random((space.random, len(groups)))
        for row in uniform.tolist():
            pairs = [(axis, u) for group, u in zip(kept, row, strict=True) for axis in group]
            yield {axis.key: drawn(axis, kind_in(axis, start), u) for axis, u in pairs}
        return
    rows = []
    for group, whole in zip(kept, groups, strict=True):
        columns = [typed_values(axis, kind_in(axis, start)) for axis in group]
        values = list(zip(*columns, strict=True)) or [()]
        # a zipped group of which this experiment lacks a key may repeat rows
        rows.append(values if group == whole else list(dict.fromkeys(values)))
    for picks in itertools.product(*rows):
        yield {
            axis.key: value
            for group, values in zip(kept, picks, strict=True)
            for axis, value in zip(group, values, strict=True)
        }
