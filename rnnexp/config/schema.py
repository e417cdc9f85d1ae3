"""The configuration: every key declared, validated, frozen, hashed.

`experiment("TASK/CELL")` returns the defaults of an experiment, a config file's `get_config()`
changes them, and `overrides` reads the command line.
"""

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict, config_dict

from rnnexp.cells import CELLS
from rnnexp.config.aliases import meant_key
from rnnexp.config.choices import choose, initial, names_in, own_options, set_value
from rnnexp.config.defaults import (
    DURATIONS,
    KEYS,
    LATER,
    NOT_NEGATIVE,
    POSITIVE,
    UNITS,
    WORK,
    later_keys,
)
from rnnexp.core.errors import UsageError, first_line, unknown
from rnnexp.core.registry import Entry
from rnnexp.core.seeds import require_seed
from rnnexp.models.heads import HEADS
from rnnexp.tasks import TASKS

MOST_INT = 2**31 - 1
MOST_LENGTH = 1_000_000
"""Of a sequence in a test: a task may compute as much before anything is refused for its memory."""


def defaults() -> ConfigDict:
    """Every key but the options of the task and of the cell."""
    config = ConfigDict()
    for key, row in KEYS.items():
        section, _, _ = key.rpartition(".")
        if section and section not in config:
            config[section] = ConfigDict()
        if duration_of(key) != key:  # a whole number even while it is unset
            set_value(config, key, config_dict.placeholder(int))
        if row.default is not None:
            set_value(config, key, row.default)
    return config


def experiment(name: str, head: str = "linear") -> ConfigDict:
    """The default configuration of `rnnexp run TASK/CELL`, whose values may be changed.

    Raises `UsageError` for an unknown task, cell or head, or a pair that does not fit.
    """
    task_name, slash, cell_name = name.partition("/")
    if not slash:
        raise UsageError(f"an experiment is named TASK/CELL, for example mnist/lstm; got {name!r}")
    try:
        task, cell = TASKS.entry(task_name), CELLS.entry(cell_name)
    except UsageError:
        if task_name in CELLS.names() and cell_name in TASKS.names():
            name = f"{cell_name}/{task_name}"
            raise UsageError(f"an experiment is named TASK/CELL. Did you mean {name!r}?") from None
        raise
    if not set(task.modes) <= set(cell.modes):
        raise UsageError(
            f"cell {cell_name!r} does not fit task {task_name!r}: the task is "
            f"{task.modes[0]}, the cell does {', '.join(cell.modes)}"
        )
    config = defaults()
    config.task.update({"name": task_name} | _fields(task))
    config.cell.update({"name": cell_name} | _fields(cell))
    set_head(config, head)
    for key, value in (task.defaults | cell.defaults).items():
        set_value(config, key, value)
    settle_durations(config, flat(defaults()))
    choose(config, {})
    return config.lock()


def set_head(config: ConfigDict, name: str) -> None:
    """Give an unfinished configuration the head of that name, with its options' defaults."""
    with config.unlocked():
        config.head = ConfigDict({"name": name} | _fields(HEADS.entry(name)))


def _fields(entry: Entry) -> dict[str, Any]:
    """The options of a task, cell or head with their defaults; None keeps the option's type."""
    return {name: initial(option) for name, option in entry.signature().items()}


def pairs() -> list[tuple[str, str]]:
    """All experiments (task, cell) whose modes fit, in the order of the tables."""
    return [
        (task, cell)
        for task in TASKS.names()
        for cell in CELLS.names()
        if set(TASKS.entry(task).modes) <= set(CELLS.entry(cell).modes)
    ]


def settle_durations(config: ConfigDict, base: dict[str, Any], given: Collection[str] = ()) -> None:
    """Unset each duration in `base`'s unit if it was set in another, in place.

    Set means: among the `given` keys, or different from `base`.
    """
    values = flat(config)
    for key in DURATIONS:
        names = [f"{key}_{unit}" for unit in UNITS if values[f"{key}_{unit}"] is not None]
        changed = [name for name in names if name in given or values[name] != base[name]]
        for name in set(names) - set(changed) if changed else ():
            set_value(config, name, None)


def assign(config: ConfigDict, values: Mapping[str, Any]) -> None:
    """Set values by dotted key, in place; `UsageError` for a value of the wrong type."""
    for key, value in values.items():
        try:
            config.update_from_flattened_dict({key: value})
        except (TypeError, ValueError) as error:
            raise UsageError(f"config.{key}={value!r}: {first_line(error)}") from error


def finish(config: ConfigDict) -> FrozenConfigDict:
    """Validate and freeze. Raises `UsageError` naming the key and what was expected."""
    name = f"{config.task.name}/{config.cell.name}"
    base = experiment(name, config.head.name)
    config = _with_own_options(config, base)
    choose(base, flat(config))
    expected, values = flat(base), flat(config)
    for key in values:
        require_known(key, expected)
    for key in expected:
        if key not in values:
            raise UsageError(f"config.{key} is missing; start from experiment({name!r})")
        if values[key] is None and expected[key] is not None and not key.endswith(tuple(UNITS)):
            raise UsageError(f"config.{key} must have a value, such as {expected[key]!r}")
        if isinstance(values[key], float) and not math.isfinite(values[key]):
            raise UsageError(f"config.{key} must be finite, not {values[key]}")
        _require_32_bits(key, values[key])
    _require_lengths(values["eval.lengths"])
    for key, row in KEYS.items():
        if row.range == POSITIVE and not values[key] > 0:
            raise UsageError(f"config.{key} must be positive, not {values[key]}")
        if row.range == NOT_NEGATIVE and not values[key] >= 0:
            raise UsageError(f"config.{key} must not be negative, but is {values[key]}")
    require_seed("config.seed", values["seed"])
    for key in DURATIONS:
        duration(values, key)
    return FrozenConfigDict(config)


def _with_own_options(config: ConfigDict, base: ConfigDict) -> ConfigDict:
    """The configuration with the options of the optimiser, schedule and loss that it names, where
    these were set by their names alone; without those of what the experiment names by default."""
    values = flat(config)
    if not set(names_in(base)) <= values.keys():
        return config
    wanted, usual = own_options(names_in(config)), own_options(names_in(base))
    missing = {key: option for key, option in wanted.items() if key not in values}
    unused = {
        key
        for key in usual.keys() & values.keys() - wanted.keys()
        if values[key] == flat(base)[key]
    }
    if not missing and not unused:
        return config
    config = ConfigDict(config.to_dict())
    for key in unused:
        section, _, name = key.partition(".")
        del config[section][name]
    for key, option in missing.items():
        set_value(config, key, initial(option))
    return config.lock()


def _require_32_bits(key: str, value: Any) -> None:
    """Raise `UsageError` for a whole number beyond 32 bits, which arrays cannot count.

    Seeds have limits of their own (`rnnexp.core.seeds`), and so have durations in examples.
    """
    if key.endswith(("seed", "_examples")):
        return
    if type(value) is int and abs(value) > MOST_INT:
        text = str(value) if abs(value) < 10**20 else f"a number of {len(str(abs(value)))} digits"
        raise UsageError(f"config.{key} must be at most {MOST_INT:,} (32 bits), not {text}")


def _require_lengths(lengths: tuple[Any, ...]) -> None:
    """Raise `UsageError` unless lengths are different whole numbers from 1 on."""
    for length in lengths:
        if type(length) is not int or not 1 <= length <= MOST_LENGTH:
            raise UsageError(
                f"config.eval.lengths must be whole numbers from 1 to {MOST_LENGTH:,}, such as "
                f"20,40; not {str(length)[:40]}"
            )
        if lengths.count(length) > 1:
            raise UsageError(f"config.eval.lengths has {length} more than once")


def from_saved(values: dict[str, Any]) -> FrozenConfigDict:
    """The configuration of a run's `config.json`; `UsageError` for one of another version."""
    return finish(unfinished(values))


def unfinished(values: dict[str, Any]) -> ConfigDict:
    """The configuration with the values of a finished one, to be changed.

    Raises `UsageError` if they are of another version.
    """
    try:
        head = values.get("head", {}).get("name", LATER["head.name"])
        config = experiment(f"{values['task']['name']}/{values['cell']['name']}", head)
        choose(config, flat(ConfigDict(values)))
        for key, value in flat(ConfigDict(values)).items():
            require_known(key, flat(config))
            if flat(config)[key] != value:
                set_value(config, key, value)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"config.json does not fit this version: {error}") from error
    return config


def require_known(key: str, keys: Iterable[str]) -> None:
    """Raise `UsageError` for an undeclared key, with the known ones of its section."""
    if key not in (known := list(keys)):
        siblings = [k for k in known if k.startswith(key.partition(".")[0] + ".")]
        meant = meant_key(key, known)
        raise unknown(
            "configuration key",
            f"config.{key}",
            [f"config.{k}" for k in siblings or known],
            meant=f"config.{meant}" if meant else "",
        )


def duration_of(key: str) -> str:
    """The duration that a key sets, `eval.every` of `eval.every_steps`; else the key itself."""
    stem, _, unit = key.rpartition("_")
    return stem if unit in UNITS and stem in DURATIONS else key


def duration(values: dict[str, Any], key: str) -> tuple[int, str]:
    """The number and unit of a duration such as `train.duration`; exactly one is set."""
    given = {u: values[f"{key}_{u}"] for u in UNITS if values[f"{key}_{u}"] is not None}
    names = ", ".join(f"config.{key}_{unit}" for unit in UNITS)
    if len(given) != 1:
        raise UsageError(f"exactly one of {names} must be set, not {len(given)}")
    unit, number = given.popitem()
    may_be_zero = DURATIONS[key].may_be_zero
    if number < (0 if may_be_zero else 1):
        least = "negative" if may_be_zero else "less than 1"
        raise UsageError(f"config.{key}_{unit} must not be {least}, but is {number}")
    return number, unit


def duration_steps(
    config: FrozenConfigDict, key: str, *, batch_size: int, epoch_steps: int | None
) -> int:
    """A duration in optimiser steps, at least 1 unless it is 0.

    Raises `UsageError` for epochs of a task that has none (`epoch_steps` None).
    """
    number, unit = duration(flat(config), key)
    if unit == "epochs" and epoch_steps is None:
        raise UsageError(
            f"config.{key}_epochs: {config.task.name} draws endless batches and has no epochs; "
            f"use config.{key}_steps or config.{key}_examples"
        )
    in_steps = {
        "steps": number, "examples": -(-number // batch_size), "epochs": number * (epoch_steps or 0)
    }  # fmt: skip
    if (steps := in_steps[unit]) > MOST_INT:
        raise UsageError(
            f"config.{key}_{unit} {number:,} is {steps:,} steps, more than {MOST_INT:,}"
        )
    return steps


def flat(config: ConfigDict | FrozenConfigDict) -> dict[str, Any]:
    """All values by dotted key."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict | FrozenConfigDict):
            result |= {f"{key}.{inner}": v for inner, v in flat(value).items()}
        else:
            result[key] = value
    return result


def run_id(config: FrozenConfigDict, sources: str = "") -> str:
    """The name of the run's directory: a hash of what the run is but for its seed, and the seed.

    That is all keys but those of `WORK` and those of `later_keys` at their values there, and the
    user's own files by their digest `sources`, if it has any.
    """
    later = later_keys(config.task.name, config.cell.name)
    values = {
        key: value
        for key, value in flat(config).items()
        if key not in WORK and (key not in later or value != later[key])
    }
    seed = values.pop("seed")
    text = json.dumps(values, sort_keys=True) + sources
    return f"{hashlib.sha256(text.encode()).hexdigest()[:12]}-seed{seed}"


def options(config: FrozenConfigDict, part: str) -> dict[str, Any]:
    """The keyword options of `task`, `cell` or `head`: all but its name, and the size of a cell."""
    values: dict[str, Any] = config[part].to_dict()
    others = ("name", "hidden_size") if part == "cell" else ("name",)
    return {k: v for k, v in values.items() if k not in others}
