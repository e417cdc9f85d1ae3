"""Widths at which different cells have equally many parameters.

A comparison of cells at one `hidden_size` compares models of different sizes: an LSTM has
four times the recurrent weights of an Elman network. Here `hidden_size` is chosen so that
the whole model (cells, initial states, normalisation, attention, readout) has a given
number of trainable scalars.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.config.schema import flat, options
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json
from rnnexp.sweep.space import Point
from rnnexp.sweep.widths import Counts, Width, with_width
from rnnexp.tasks.base import Task
from rnnexp.train.build import build_task

TOLERANCE = 0.01
"""How far the number of parameters may be from the one wanted, relative to it."""


def match_width(
    config: FrozenConfigDict, task: Task, parameters: int, tolerance: float = TOLERANCE
) -> FrozenConfigDict:
    """The configuration with the `hidden_size` whose model comes nearest to `parameters`.

    Raises:
      UsageError: if that is further off than `tolerance`, relative (the message has the
        nearest widths and their numbers, and a number that can be had), or if the number
        does not grow with the width.
    """
    counts = Counts(config, task)
    require_match([counts], parameters, tolerance)
    return with_width(config, counts.nearest(parameters).hidden_size)


def matched(
    points: Sequence[Point],
    parameters: int,
    *,
    data_dir: Path | None = None,
    tolerance: float = TOLERANCE,
) -> tuple[list[Point], list[str]]:
    """The points of a sweep, each with its matched width, and statements of the widths.

    A width is searched once for all points with the same task, cell and model options.
    A statement reads "lstm: hidden_size 69, 19,942 parameters (-0.3 %)".

    Raises:
      UsageError: as `match_width` does, naming all cells that cannot be matched, and if the
        sweep varies `cell.hidden_size` itself.
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

    The message names those that have none, and the nearest number that all of them match.
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
    """The nearest number, above or below `parameters`, that all models match.

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
    """What these parts of a configuration say about a model's shapes, but for its width."""
    values = {key: value for key, value in flat(config).items() if key != "cell.hidden_size"}
    return to_json({k: v for k, v in values.items() if k.partition(".")[0] in parts})


def _statements(points: Sequence[Point], widths: Sequence[Width], parameters: int) -> list[str]:
    """One line an experiment, or more where swept options of it change the width."""
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
            said = name + "".join(shaping if len(found) > 1 else [])
            share = 100 * (width.parameters / parameters - 1)
            lines.append(
                f"{said}: hidden_size {width.hidden_size}, {width.parameters:,} parameters "
                f"({share:+.1f} %)"
            )
    return lines
