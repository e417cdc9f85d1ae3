"""The configuration: every key declared, validated, frozen, hashed.

`experiment("TASK/CELL")` returns the defaults of an experiment, a config file's `get_config()`
changes them, and `overrides` reads the command line.
"""

import hashlib
import json
import math
from collections.abc import Collection, Iterable
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict, config_dict

from rnnexp.cells import CELLS
from rnnexp.config.defaults import (
    LATER,
    NOT_NEGATIVE,
    POSITIVE,
    laboratory_defaults,
    model_defaults,
    regularizer_defaults,
)
from rnnexp.core.errors import UsageError, unknown
from rnnexp.core.seeds import require_seed
from rnnexp.models.heads import HEADS
from rnnexp.tasks import TASKS

UNITS = ("steps", "epochs", "examples")
MOST_INT = 2**31 - 1
MOST_LENGTH = 1_000_000
"""Of a sequence in a test: a task may compute as much before anything is refused for its memory."""
DURATIONS = {
    "train.duration": 2000,
    "eval.every": 200,
    "checkpoint.every": 200,
    "record.every": 10,
    "optimizer.warmup": 0,
    "checkpoint.keep_every": 0,  # checkpoints that are never deleted; 0: none
    "laboratory.every": 0,  # measurements of the laboratory; 0: none
}
"""Keys that end in `_steps`, `_epochs` or `_examples`, one of which is set; defaults in steps."""
MAY_BE_ZERO = ("optimizer.warmup", "checkpoint.keep_every", "laboratory.every")


def defaults() -> ConfigDict:
    """Every key but the options of the task and of the cell."""
    config = ConfigDict()
    config.seed = 0  # of initial weights, order of the data, synthetic batches
    config.devices = 1  # over which every batch is divided, in all processes together
    config.task = ConfigDict({"name": ""})
    config.cell = ConfigDict({"name": "", "hidden_size": 128})
    config.model = ConfigDict(model_defaults())
    config.head = ConfigDict({"name": "linear"})  # and the options of the head of that name
    config.train = ConfigDict({"batch_size": 64})
    config.optimizer = ConfigDict(
        {
            "name": "adam",  # sgd, momentum, rmsprop, adam, adamw
            "learning_rate": 1e-3,
            "momentum": 0.9,  # of momentum and rmsprop
            "weight_decay": 1e-4,  # of adamw
            "schedule": "constant",  # constant, linear, cosine
        }
    )
    config.clip = ConfigDict(
        {
            "name": "global_norm",  # none, global_norm, value, adaptive
            "threshold": 1.0,
            "adjoint_limit": 0.0,  # largest norm of dL/ds_t in the backward pass; 0: any
        }
    )
    config.regularizer = ConfigDict(regularizer_defaults())
    config.record = ConfigDict()
    # examples: of endless tasks; data sets are evaluated whole
    config.eval = ConfigDict({"batch_size": 256, "examples": 1024})
    config.eval.lengths = ()  # at which the trained network is tested too; none: the task's own
    config.early_stopping = ConfigDict({"patience": 0})  # evaluations without gain; 0: off
    config.checkpoint = ConfigDict()
    config.laboratory = ConfigDict(laboratory_defaults())
    for key, steps in DURATIONS.items():
        for unit in UNITS:
            _set(config, f"{key}_{unit}", config_dict.placeholder(int))
        _set(config, f"{key}_steps", steps)
    return config


def experiment(name: str, head: str = "linear") -> ConfigDict:
    """The default configuration of `rnnexp run TASK/CELL`, whose values may be changed.

    Raises `UsageError` for an unknown task, cell or head, or a pair that does not fit.
    """
    task_name, slash, cell_name = name.partition("/")
    if not slash:
        raise UsageError(f"an experiment is named TASK/CELL, for example mnist/lstm; got {name!r}")
    task, cell = TASKS.entry(task_name), CELLS.entry(cell_name)
    if not set(task.modes) <= set(cell.modes):
        raise UsageError(
            f"cell {cell_name!r} does not fit task {task_name!r}: the task is "
            f"{task.modes[0]}, the cell does {', '.join(cell.modes)}"
        )
    config = defaults()
    config.task.update({"name": task_name} | task.options())
    config.cell.update({"name": cell_name} | cell.options())
    set_head(config, head)
    for key, value in (task.defaults | cell.defaults).items():
        _set(config, key, value)
    settle_durations(config, flat(defaults()))
    return config.lock()


def set_head(config: ConfigDict, name: str) -> None:
    """Give an unfinished configuration the head of that name, with its options' defaults."""
    with config.unlocked():
        config.head = ConfigDict({"name": name} | HEADS.entry(name).options())


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
            _set(config, name, None)


def finish(config: ConfigDict) -> FrozenConfigDict:
    """Validate and freeze. Raises `UsageError` naming the key and what was expected."""
    name = f"{config.task.name}/{config.cell.name}"
    expected, values = flat(experiment(name, config.head.name)), flat(config)
    for key in values:
        require_known(key, expected)
    for key in expected:
        if key not in values:
            raise UsageError(f"config.{key} is missing; start from experiment({name!r})")
        if values[key] is None and expected[key] is not None and not key.endswith(UNITS):
            raise UsageError(f"config.{key} must have a value, such as {expected[key]!r}")
        if isinstance(values[key], float) and not math.isfinite(values[key]):
            raise UsageError(f"config.{key} must be finite, not {values[key]}")
        _require_32_bits(key, values[key])
    _require_lengths(values["eval.lengths"])
    for key in POSITIVE:
        if not values[key] > 0:
            raise UsageError(f"config.{key} must be positive, not {values[key]}")
    for key in NOT_NEGATIVE:
        if not values[key] >= 0:
            raise UsageError(f"config.{key} must not be negative, but is {values[key]}")
    require_seed("config.seed", values["seed"])
    for key in DURATIONS:
        duration(values, key)
    return FrozenConfigDict(config)


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
    try:
        head = values.get("head", {}).get("name", LATER["head.name"])
        config = experiment(f"{values['task']['name']}/{values['cell']['name']}", head)
        for key, value in flat(ConfigDict(values)).items():
            require_known(key, flat(config))
            if flat(config)[key] != value:
                _set(config, key, value)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"config.json does not fit this version: {error}") from error
    return finish(config)


def require_known(key: str, keys: Iterable[str]) -> None:
    """Raise `UsageError` for an undeclared key, with the known ones of its section."""
    known = [f"config.{k}" for k in keys]
    section = f"config.{key.partition('.')[0]}."
    if f"config.{key}" not in known:
        siblings = [k for k in known if k.startswith(section)]
        raise unknown("configuration key", f"config.{key}", siblings or known)


def duration(values: dict[str, Any], key: str) -> tuple[int, str]:
    """The number and unit of a duration such as `train.duration`; exactly one is set."""
    given = {u: values[f"{key}_{u}"] for u in UNITS if values[f"{key}_{u}"] is not None}
    names = ", ".join(f"config.{key}_{unit}" for unit in UNITS)
    if len(given) != 1:
        raise UsageError(f"exactly one of {names} must be set, not {len(given)}")
    unit, number = given.popitem()
    if number < (0 if key in MAY_BE_ZERO else 1):
        least = "negative" if key in MAY_BE_ZERO else "less than 1"
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

    That is all keys but those of `LATER` at their values there, and the user's own files by their
    digest `sources`, if it has any.
    """
    values = {k: v for k, v in flat(config).items() if k not in LATER or v != LATER[k]}
    seed = values.pop("seed")
    text = json.dumps(values, sort_keys=True) + sources
    return f"{hashlib.sha256(text.encode()).hexdigest()[:12]}-seed{seed}"


def options(config: FrozenConfigDict, part: str) -> dict[str, Any]:
    """The keyword options of `task`, `cell` or `head`: all but its name, and the size of a cell."""
    values: dict[str, Any] = config[part].to_dict()
    others = ("name", "hidden_size") if part == "cell" else ("name",)
    return {k: v for k, v in values.items() if k not in others}


def _set(config: ConfigDict, key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        config = config[parent]
    config[last] = value
