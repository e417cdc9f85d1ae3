"""The starting points of a sweep: its experiments, each with the changes common to all runs."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ml_collections import ConfigDict

from rnnexp.cells import CELLS
from rnnexp.config.arguments import read_arguments
from rnnexp.config.choices import choose
from rnnexp.config.defaults import LATER, WORK
from rnnexp.config.overrides import call, load_file, module_config, override
from rnnexp.config.schema import assign, experiment, finish, flat, require_known, settle_durations
from rnnexp.core.errors import UsageError
from rnnexp.core.load_module import load_module
from rnnexp.sweep.axes import (
    EXPERIMENT,
    Axis,
    Group,
    Space,
    kind_of,
    parse_space,
    typed,
    typed_values,
)
from rnnexp.tasks import TASKS

logger = logging.getLogger("rnnexp")


@dataclass(frozen=True)
class Base:
    """What all points have in common.

    Attributes:
      name: TASK/CELL; a part that the sweep chooses may be empty, as in "adding/" or "/".
      file: the unfinished configuration of a file; None: no file was given.
      overrides: the text of each `--config.KEY=VALUE`, by key.
    """

    name: str
    file: ConfigDict | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """An experiment with the base's changes: its unfinished configuration, nested and flat."""

    name: str
    config: ConfigDict
    values: dict[str, Any]


def read_base(
    name: str | None, arguments: Sequence[str] = (), *, file: ConfigDict | None = None
) -> Base:
    """The base that a command line names.

    Args:
      name: TASK/CELL, or TASK alone if the cell is swept; None if a file names the experiment,
        or if task and cell are both swept.
      arguments: `--config=FILE` and `--config.KEY=VALUE`, as typed.
      file: the configuration of a space file, in place of `--config=FILE`.

    Raises:
      UsageError: for two experiments, a bad file or other arguments.
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
      texts, seeds, draw_seed: from the command line. Axes are added to those of the file;
        random:N, seeds and draw_seed, if given, replace those of the file.

    Raises:
      UsageError: if there is no such file, if it fails, or if it returns something else.
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
    """The experiment `name` (TASK/CELL) with the base's changes to keys that it has.

    Raises `UsageError` if task and cell do not fit, or for a value of the wrong type.
    """
    given = {**file_changes(base), **base.overrides}
    config = experiment(name, given.get("head.name", LATER["head.name"]))
    choose(config, given)
    defaults = flat(config)
    changes = {key: value for key, value in file_changes(base).items() if key in defaults}
    assign(config, changes)
    settle_durations(config, defaults, changes)
    override(config, {key: text for key, text in base.overrides.items() if key in defaults})
    return Start(name, config, flat(config))


def file_changes(base: Base) -> dict[str, Any]:
    """The values, by key, in which the base's file differs from its experiment's defaults."""
    if base.file is None:
        return {}
    own, found = flat(experiment(base.name)), flat(base.file)
    if own.keys() != found.keys():
        finish(base.file)  # raises the error that names the key
    return {
        key: value
        for key, value in found.items()
        if (key not in own or value != own[key]) and key not in EXPERIMENT
    }


def find_starts(space: Space, base: Base) -> list[tuple[Start, dict[str, Any]]]:
    """The experiments of the space whose task and cell fit, each with the values that choose it.

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
    for (
        name,
        picked,
    ) in pairs:  # a second loop, so that all names are checked before JAX is imported
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
    """TASK/CELL from the chosen values, else from the base; both parts must be given and known."""
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
    """Raise `UsageError` for a key that no experiment has or that is given twice; log the
    experiments that lack a key."""
    given = {**file_changes(base), **base.overrides}
    swept = [axis.key for axis in space.axes]
    from rnnexp.config.validate import require_log  # imports JAX

    for start in starts:
        require_log(start.config)
    everywhere = list(dict.fromkeys(key for start in starts for key in start.values))
    for key in (*base.overrides, *swept):
        require_known(key, everywhere)
        if key in WORK and key in swept:
            raise UsageError(f"config.{key} changes nothing of what a run is; it cannot be swept")
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
    """The type of an axis's key in an experiment."""
    return kind_of(axis.key, start.config)
