"""Matches parameters: chooses the width at which each cell's model has a given number of them.

Cells at one `hidden_size` make models of different sizes: an LSTM has four times the recurrent
weights of an Elman network. Here `hidden_size` is chosen so that the whole model (cells, initial
states, normalisation, attention, readout) has a given number of trainable scalars. They are
counted from shapes alone; no weights are drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from flax import nnx
from ml_collections import ConfigDict, FrozenConfigDict

from rnnexp.config.schema import finish, flat, options
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json
from rnnexp.core.tree import tree_size
from rnnexp.sweep.space import Point
from rnnexp.tasks.base import Task
from rnnexp.train.build import build_model, build_task

TOLERANCE = 0.01
"""Largest relative deviation from the given number of parameters."""
LARGEST_START = 1 << 16
"""The largest width tried in the search for a first one that the cell allows."""


class Width(NamedTuple):
    """A width that the cell allows, and the model's number of parameters at it."""

    hidden_size: int
    parameters: int


def count_parameters(config: FrozenConfigDict, task: Task) -> int:
    """Number of trainable scalars of a configuration's model; no weights are drawn.

    Raises `UsageError` if the model cannot be built.
    """
    model = nnx.eval_shape(partial(build_model, config, task), jax.random.key(0))
    return tree_size(nnx.to_pure_dict(nnx.state(model, nnx.Param)))


def with_width(config: FrozenConfigDict, hidden_size: int) -> FrozenConfigDict:
    """The configuration with another `cell.hidden_size`."""
    copied = ConfigDict(config)
    copied.cell.hidden_size = hidden_size
    return finish(copied)


class Counts:
    """Numbers of parameters by width of one model; each is counted once, when first needed."""

    def __init__(self, config: FrozenConfigDict, task: Task):
        self.config = config
        self.task = task
        self._counted: dict[int, int | None] = {}
        self._refusal: UsageError | None = None

    @property
    def name(self) -> str:
        """TASK/CELL."""
        return f"{self.config.task.name}/{self.config.cell.name}"

    def around(self, parameters: int) -> list[Width]:
        """The allowed widths next to a number of parameters: the largest with fewer, and the
        smallest with at least as many.

        The number grows with the width, so doubling finds an interval and bisection the two
        neighbours. The first one is missing if no allowed width has fewer.

        Raises `UsageError` if the number does not grow, or no width is allowed.
        """
        below, not_below = None, self._start()
        if not_below.parameters >= parameters:
            self._above(not_below)
        while not_below.parameters < parameters:
            below, not_below = not_below, self._above(not_below)
        low, high = below.hidden_size if below else 0, not_below.hidden_size
        while high - low > 1:
            middle = (low + high) // 2
            width = self._allowed(middle, not_below.hidden_size)
            assert width is not None  # `not_below` itself is allowed
            if width.parameters < parameters:
                below, low = width, width.hidden_size
            else:
                not_below, high = width, middle
        return [width for width in (below, not_below) if width is not None]

    def nearest(self, parameters: int) -> Width:
        """The allowed width whose number of parameters is nearest to the given one."""
        return min(self.around(parameters), key=lambda width: abs(width.parameters - parameters))

    def _count(self, hidden_size: int) -> int | None:
        """The number at this width; None if the cell does not allow it."""
        if hidden_size not in self._counted:
            number = None
            try:
                number = count_parameters(with_width(self.config, hidden_size), self.task)
            except UsageError as error:
                self._refusal = self._refusal or error
            self._counted[hidden_size] = number
        return self._counted[hidden_size]

    def _allowed(self, first: int, last: int) -> Width | None:
        """The smallest width from `first` to `last` that the cell allows."""
        for hidden_size in range(first, last + 1):
            number = self._count(hidden_size)
            if number is not None:
                return Width(hidden_size, number)
        return None

    def _start(self) -> Width:
        """An allowed width: the configuration's own or a little above it, else a power of two."""
        size = self.config.cell.hidden_size
        powers = (1 << n for n in range(LARGEST_START.bit_length()))
        for hidden_size in (*range(size, size + 33), *powers):
            if (width := self._allowed(hidden_size, hidden_size)) is not None:
                return width
        assert self._refusal is not None
        raise self._refusal

    def _above(self, width: Width) -> Width:
        """An allowed width two to four times as large, which must have more parameters."""
        larger = self._allowed(2 * width.hidden_size, 4 * width.hidden_size)
        if larger is None or larger.parameters <= width.parameters:
            raise UsageError(
                f"the number of parameters of cell {self.config.cell.name!r} does not grow with "
                "cell.hidden_size, so it cannot be matched"
            )
        return larger


def matched(
    points: Sequence[Point],
    parameters: int,
    *,
    data_dir: Path | None = None,
    tolerance: float = TOLERANCE,
) -> tuple[list[Point], list[str]]:
    """The points of a sweep, each with its matched width, and lines that state the widths.

    Points with the same task, cell and model options share one search for their width.
    A line reads "lstm: hidden_size 69, 19,942 parameters (-0.3 %)".

    Raises:
      UsageError: the nearest number of a cell is off by more than `tolerance` (relative; the
        message names all such cells with their nearest widths, and a number that can be
        matched); the number of a cell does not grow with its width; or the sweep varies
        `cell.hidden_size` itself.
    """
    tasks: dict[str, Task] = {}
    models: dict[str, Counts] = {}
    for point in points:
        if "cell.hidden_size" in point.changes:
            raise UsageError(
                "cell.hidden_size is swept, but matching parameters chooses it; leave out one"
            )
        config = point.config
        task_key = _key(config, "task")
        if task_key not in tasks:
            tasks[task_key] = build_task(config.task.name, data_dir, **options(config, "task"))
        model_key = _key(config, "task", "cell", "model")
        if model_key not in models:
            models[model_key] = Counts(config, tasks[task_key])
    require_match(list(models.values()), parameters, tolerance)
    chosen = {key: counts.nearest(parameters) for key, counts in models.items()}
    widths = [chosen[_key(point.config, "task", "cell", "model")] for point in points]
    changed = [
        replace(point, config=with_width(point.config, width.hidden_size))
        for point, width in zip(points, widths, strict=True)
    ]
    return changed, _statements(points, widths, parameters)


def require_match(models: Sequence[Counts], parameters: int, tolerance: float) -> None:
    """Raise `UsageError` unless every model has a width within the tolerance.

    The message names the models that have none, and the nearest number that all models match.
    """
    if parameters < 1:
        raise UsageError(f"the number of parameters to match must be positive, not {parameters}")
    misses = [counts for counts in models if not _fits(counts, parameters, tolerance)]
    if not misses:
        return
    near = {
        f"{counts.name} ("
        + ", ".join(
            f"hidden_size {width.hidden_size} has {width.parameters:,}"
            for width in counts.around(parameters)
        )
        + ")"
        for counts in misses
    }
    ends = (reachable(models, parameters, tolerance, upwards) for upwards in (False, True))
    possible = [end for end in ends if end is not None]
    advice = "no number near it can be had by all"
    if possible:
        best = min(possible, key=lambda end: abs(end - parameters))
        advice = f"the nearest number that all models can have is {best}"
    raise UsageError(
        f"no width comes within {100 * tolerance:g} % of {parameters:,} parameters for "
        f"{', '.join(sorted(near))}; {advice}"
    )


def reachable(
    models: Sequence[Counts], parameters: int, tolerance: float, upwards: bool
) -> int | None:
    """The nearest number above (`upwards`) or below `parameters` that all models match.

    None if there is none between half and twice `parameters`. A model with n parameters
    matches the numbers from n/(1 + tolerance) to n/(1 - tolerance).
    """
    wanted = parameters
    while 2 * wanted >= parameters and wanted <= 2 * parameters:
        before = wanted
        for counts in models:
            if _fits(counts, wanted, tolerance):
                continue
            around = counts.around(wanted)
            if upwards:
                wanted = max(wanted + 1, math.ceil(around[-1].parameters / (1 + tolerance)))
            elif len(around) == 2:
                wanted = min(wanted - 1, math.floor(around[0].parameters / (1 - tolerance)))
            else:
                return None
        if wanted == before:
            return wanted
    return None


def _fits(counts: Counts, parameters: int, tolerance: float) -> bool:
    return abs(counts.nearest(parameters).parameters - parameters) <= tolerance * parameters


def _key(config: FrozenConfigDict, *parts: str) -> str:
    """A text of these parts of a configuration, without the width; equal texts, equal shapes."""
    values = {key: value for key, value in flat(config).items() if key != "cell.hidden_size"}
    return to_json({k: v for k, v in values.items() if k.partition(".")[0] in parts})


def _statements(points: Sequence[Point], widths: Sequence[Width], parameters: int) -> list[str]:
    """One line for each experiment, or several where swept options of it change the width."""
    several = len({point.config.task.name for point in points}) > 1
    by_name: dict[str, dict[Width, dict[str, Any]]] = {}
    for point, width in zip(points, widths, strict=True):
        cell, task = point.config.cell.name, point.config.task.name
        name = f"{task}/{cell}" if several else cell
        by_name.setdefault(name, {}).setdefault(width, point.changes)
    lines = []
    for name, found in by_name.items():
        for width, changes in found.items():
            shaping = [
                f", {key} {value}"
                for key, value in changes.items()
                if key.startswith(("task.", "cell.", "model.")) and not key.endswith(".name")
            ]
            label = name + "".join(shaping if len(found) > 1 else [])
            deviation = 100 * (width.parameters / parameters - 1)
            lines.append(
                f"{label}: hidden_size {width.hidden_size}, {width.parameters:,} parameters "
                f"({deviation:+.1f} %)"
            )
    return lines
