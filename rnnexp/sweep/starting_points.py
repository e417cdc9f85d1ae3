"""What the points of a sweep start from: an experiment each, and what they have in common."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ml_collections import ConfigDict

from rnnexp.cells import CELLS
from rnnexp.config.overrides import call, load_file, module_config, override, read_arguments
from rnnexp.config.schema import experiment, finish, flat, require_known, settle_durations
from rnnexp.core.errors import UsageError, first_line
from rnnexp.core.load_module import load_module
from rnnexp.sweep.axes import EXPERIMENT, Axis, Group, Space, parse_space
from rnnexp.sweep.values import kind_of, typed, typed_values
from rnnexp.tasks import TASKS

logger = logging.getLogger("rnnexp")


@dataclass(frozen=True)
class Base:
    """What all points have in common.

    Attributes:
      name: TASK/CELL; a part that the sweep chooses may be empty, as in "adding/" or "/".
      file: the configuration of a file, unfinished; None: there is none.
      overrides: the text of every `--config.KEY=VALUE`, by key.
    """

    name: str
    file: ConfigDict | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """An experiment with the base's changes: its unfinished configuration, and that flat."""

    name: str
    config: ConfigDict
    values: dict[str, Any]


def read_base(
    name: str | None, arguments: Sequence[str] = (), *, file: ConfigDict | None = None
) -> Base:
    """The base that a command line names.

    Args:
      name: TASK/CELL, or TASK alone where the cell is swept; None where there is a file,
        or where task and cell are both swept.
      arguments: `--config=FILE` and `--config.KEY=VALUE`, as typed.
      file: the configuration that a space file brings, in place of `--config=FILE`.

    Raises:
      UsageError: for two experiments, a bad file, other arguments.
    """
    path, overrides = read_arguments(arguments)
    if sum(given is not None for given in (name, path, file)) > 1:
        raise UsageError("name one experiment: either TASK/CELL or --config=FILE")
    if path is not None:
        file = load_file(path)
    if file is not None:
        name = f"{file.task.name}/{file.cell.name}"
    task, _, cell = (name or "").partition("/")
    return Base(f"{task}/{cell}", file, overrides)


def load_space(
    path: str,
    texts: Sequence[str] = (),
    *,
    seeds: str | None = None,
    draw_seed: int | None = None,
) -> tuple[Space, ConfigDict | None]:
    """The space of a Python file, and its configuration if it defines `get_config()`.

    The file defines `get_space()`, which returns a `Space` or a list of `--sweep` texts.

    Args:
      texts, seeds, draw_seed: of the command line. Axes are added to those of the file;
        random:N, seeds and draw_seed replace the file's where they are given.

    Raises:
      UsageError: if there is no such file, it fails, or it returns something else.
    """
    module = load_module(path, "space file")
    space = call(module, "get_space", path)
    if isinstance(space, list | tuple) and all(isinstance(text, str) for text in space):
        space = parse_space(space)
    if not isinstance(space, Space):
        kind = type(space).__name__
        raise UsageError(
            f"get_space() of {path} returned a {kind}; return a Space or --sweep texts"
        )
    more = parse_space(texts, seeds=seeds)
    space = replace(
        space,
        groups=space.groups + more.groups,
        seeds=space.seeds if seeds is None else more.seeds,
        random=space.random if more.random is None else more.random,
        draw_seed=space.draw_seed if draw_seed is None else draw_seed,
    )
    return space, module_config(module, path) if hasattr(module, "get_config") else None


def make_start(base: Base, name: str) -> Start:
    """The experiment `name` (TASK/CELL) with the base's changes of keys that exist for it.

    Raises `UsageError` if the two do not fit, or for a value of the wrong type.
    """
    config = experiment(name)
    defaults = flat(config)
    changes = {key: value for key, value in file_changes(base).items() if key in defaults}
    assign(config, changes)
    settle_durations(config, defaults, changes)
    override(config, {key: text for key, text in base.overrides.items() if key in defaults})
    return Start(name, config, flat(config))


def file_changes(base: Base) -> dict[str, Any]:
    """Where the base's file differs from the defaults of its own experiment, by key."""
    if base.file is None:
        return {}
    own, found = flat(experiment(base.name)), flat(base.file)
    if own.keys() != found.keys():
        finish(base.file)  # raises the error that names the key
    return {
        key: value for key, value in found.items() if value != own[key] and key not in EXPERIMENT
    }


def assign(config: ConfigDict, values: Mapping[str, Any]) -> None:
    """Set values by dotted key, in place; `UsageError` for one of the wrong type."""
    for key, value in values.items():
        try:
            config.update_from_flattened_dict({key: value})
        except (TypeError, ValueError) as error:
            raise UsageError(f"config.{key}={value!r}: {first_line(error)}") from error


def find_starts(space: Space, base: Base) -> list[tuple[Start, dict[str, Any]]]:
    """The experiments of the space that fit, each with the values that its groups choose.

    Raises `UsageError` if none fits, and for a key of the space that none of them has.
    """
    groups = [group for group in space.groups if chooses_experiment(group)]
    pairs = []
    for picks in itertools.product(*(range(len(group[0].values or ())) for group in groups)):
        picked = [(axis, n) for group, n in zip(groups, picks, strict=True) for axis in group]
        name = _name(base, {axis.key: (axis.values or ())[n] for axis, n in picked})
        pairs.append((name, picked))
    made: dict[str, Start] = {}
    result, unfit = [], {}
    for name, picked in pairs:  # a second loop: all names are checked before JAX is imported
        if reason := _misfit(name):
            unfit[name] = reason
            continue
        if name not in made:
            made[name] = make_start(base, name)
        start = made[name]
        known = [(axis, n) for axis, n in picked if axis.key in start.values]
        chosen = {axis.key: typed_values(axis, kind_in(axis, start))[n] for axis, n in known}
        result.append((start, chosen))
    if not result:
        raise UsageError("; ".join(unfit.values()))
    for reason in unfit.values():
        logger.info("left out of the sweep: %s", reason)
    _check_keys(space, base, list(made.values()))
    return result


def chooses_experiment(group: Group) -> bool:
    """Whether a group decides on the task or the cell."""
    return any(axis.key in EXPERIMENT for axis in group)


def _name(base: Base, chosen: dict[str, Any]) -> str:
    """TASK/CELL of chosen values, or else of the base; both must be there, and known."""
    task, _, cell = base.name.partition("/")
    task, cell = chosen.get("task.name", task), chosen.get("cell.name", cell)
    for part, name in (("task", task), ("cell", cell)):
        if not name:
            raise UsageError(
                f"the sweep has no {part}: name TASK/CELL or --config=FILE, or sweep the {part}"
            )
    TASKS.entry(typed("task.name", task, str))
    CELLS.entry(typed("cell.name", cell, str))
    return f"{task}/{cell}"


def _misfit(name: str) -> str:
    """Why a known task and a known cell do not fit; empty if they do."""
    task, _, cell = name.partition("/")
    if set(TASKS.entry(task).modes) <= set(CELLS.entry(cell).modes):
        return ""
    try:
        experiment(name)
    except UsageError as error:
        return str(error)
    return ""


def _check_keys(space: Space, base: Base, starts: Sequence[Start]) -> None:
    """Refuse keys that no experiment has or that are given twice; log where one is missing."""
    given = {**file_changes(base), **base.overrides}
    swept = [axis.key for axis in space.axes]
    everywhere = list(dict.fromkeys(key for start in starts for key in start.values))
    for key in (*base.overrides, *swept):
        require_known(key, everywhere)
    fixed = ["seed"] if isinstance(space.seeds, tuple) else []
    for key in (*swept, *fixed):
        if key in base.overrides:
            raise UsageError(f"config.{key} is swept and given as --config.{key}; leave out one")
    for key in dict.fromkeys((*given, *swept)):
        lacking = [start.name for start in starts if key not in start.values]
        part = {"task": 0, "cell": 2}.get(key.partition(".")[0])
        if part is not None and lacking:
            names = dict.fromkeys(name.partition("/")[part] for name in lacking)
            what = "not swept" if key in swept else f"{given[key]} is not used"
            logger.info("config.%s is no key of %s: %s there", key, ", ".join(names), what)


def kind_in(axis: Axis, start: Start) -> type:
    """The type of an axis' key in an experiment."""
    return kind_of(axis.key, start.values[axis.key])
