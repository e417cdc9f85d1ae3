"""Configuration from the command line: `--config=FILE` and `--config.KEY=VALUE`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags
from ml_collections import ConfigDict, FrozenConfigDict, config_flags

from rnnexp.config.arguments import read_arguments
from rnnexp.config.choices import choose
from rnnexp.config.read_file import ENDINGS, read_config
from rnnexp.config.schema import (
    experiment,
    finish,
    flat,
    from_saved,
    require_known,
    set_head,
    settle_durations,
)
from rnnexp.core.errors import UsageError
from rnnexp.core.load_module import load_module


def from_command_line(experiment_name: str | None, arguments: Sequence[str]) -> FrozenConfigDict:
    """The final configuration of `rnnexp run`.

    Args:
      experiment_name: TASK/CELL, or None if `--config=FILE` is among the arguments.
      arguments: `--config=FILE` and `--config.KEY=VALUE`, as typed.

    Raises:
      UsageError: for an unknown key, a value of the wrong type, a bad file.
    """
    file, overrides = read_arguments(arguments)
    if (file is None) == (experiment_name is None):
        raise UsageError("name one experiment: either TASK/CELL or --config=FILE")
    config = load_file(file) if file is not None else experiment(str(experiment_name))
    override(config, overrides)
    return finish(config)


def from_run(saved: dict[str, Any], arguments: Sequence[str]) -> FrozenConfigDict:
    """The content of a run's `config.json` with the keys changed that the arguments name.

    Raises `UsageError` for `--config=FILE` among the arguments, an unknown key or a bad value.
    """
    file, overrides = read_arguments(arguments)
    if file is not None:
        raise UsageError(f"--config={file} does not go with a run that has a configuration already")
    config = ConfigDict(from_saved(saved).to_dict())
    override(config, overrides)
    return finish(config)


def override(config: ConfigDict, overrides: Mapping[str, str]) -> None:
    """Set keys of an unfinished configuration, in place, from the text of their values.

    A duration set in one unit is unset in the others. Raises `UsageError` for an unknown key,
    the names of task and cell, or a value of the wrong type.
    """
    if "head.name" in overrides:
        set_head(config, overrides["head.name"])
    choose(config, overrides)
    keys = flat(config)
    for key in overrides:
        if key in ("task.name", "cell.name"):
            raise UsageError(f"config.{key} is fixed by the experiment; choose another TASK/CELL")
        require_known(key, keys)
    lists = {key: text for key, text in overrides.items() if isinstance(keys[key], tuple)}
    for key, text in lists.items():
        config.update_from_flattened_dict({key: whole_numbers(key, text)})
    scalars = {key: text for key, text in overrides.items() if key not in lists}
    values = flags.FlagValues()
    argv = ["rnnexp", *(f"--config.{key}={value}" for key, value in scalars.items())]
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
    try:
        values(argv)
    except (flags.Error, TypeError, ValueError) as error:
        raise UsageError(f"bad value: {error}") from error
    settle_durations(config, keys, overrides)


def whole_numbers(key: str, text: str) -> tuple[int, ...]:
    """The whole numbers of `20,40`, which may stand in brackets; none of an empty text.

    Raises `UsageError` that names the key.
    """
    inner = re.sub(r"^\((.*)\)$|^\[(.*)\]$", r"\1\2", text.strip(), flags=re.DOTALL)
    parts = inner.removesuffix(",").split(",") if inner.strip() else []
    if all(re.fullmatch(r"\s*[+-]?[0-9]{1,400}\s*", part) for part in parts):
        return tuple(int(part) for part in parts)
    raise UsageError(
        f"bad value: config.{key} takes whole numbers with commas, such as 20,40; not {text!r}"
    )


def load_file(path: str) -> ConfigDict:
    """The unfinished configuration of a file; `UsageError` if it fails or is none.

    A YAML or JSON file holds keys and values; a Python file has a function `get_config()`.
    """
    if Path(path).suffix in ENDINGS:
        return read_config(Path(path))
    return module_config(load_module(path, "config file"), path)


def module_config(module: ModuleType, path: str) -> ConfigDict:
    """The result of `get_config()` of a module that was loaded from `path`; see `load_file`."""
    config = call(module, "get_config", path)
    if not isinstance(config, ConfigDict) or isinstance(config, FrozenConfigDict):
        kind = type(config).__name__
        raise UsageError(f"get_config() of {path} returned a {kind}; return experiment(...) itself")
    try:
        base = flat(experiment(f"{config.task.name}/{config.cell.name}", config.head.name))
        settle_durations(config, base)
    except (AttributeError, KeyError) as error:
        raise UsageError(
            f"get_config() of {path} lacks keys; start from rnnexp.experiment('TASK/CELL')"
        ) from error
    return config


def call(module: ModuleType, name: str, path: str) -> Any:
    """The result of the function of that name in the user's file; `UsageError` if it fails."""
    if not hasattr(module, name):
        raise UsageError(f"{path} defines no {name}()")
    try:
        return getattr(module, name)()
    except UsageError:
        raise
    except Exception as error:  # whatever the user's file raises is a fault of that file
        text = str(error.args[0] if error.args else "").partition(" Other fields present")[0]
        raise UsageError(f"{path}: {type(error).__name__}: {text}") from error
