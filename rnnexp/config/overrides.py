"""A configuration with some keys changed, from the command line or from Python."""

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from absl import flags
from ml_collections import ConfigDict, FrozenConfigDict, config_flags

from rnnexp.config.arguments import read_arguments
from rnnexp.config.choices import choose
from rnnexp.config.read_file import ENDINGS, read_config
from rnnexp.config.schema import (
    duration_of,
    experiment,
    finish,
    flat,
    from_saved,
    require_known,
    set_head,
    settle_durations,
    unfinished,
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
    return configuration(str(experiment_name) if file is None else Path(file), overrides)


def configuration(
    start: str | Path | ConfigDict | FrozenConfigDict,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> FrozenConfigDict:
    """The final configuration of a start with some keys changed.

    Args:
      start: TASK/CELL, the path of a configuration file, or a configuration, which stays as it is.
      changes: see `override`.

    Raises:
      UsageError: for an unknown key, a value of the wrong type, a bad file or name.
    """
    config = _changeable(start)
    override(config, changes)
    return finish(config)


def _changeable(start: str | Path | ConfigDict | FrozenConfigDict) -> ConfigDict:
    """The unfinished configuration of a start; see `configuration`."""
    if isinstance(start, FrozenConfigDict):
        return unfinished(start.to_dict())
    if isinstance(start, ConfigDict):
        config = copy.deepcopy(start)
        _settle(config, "the configuration")
        return config
    if isinstance(start, Path):
        return load_file(str(start))
    if not isinstance(start, str):
        kind = type(start).__name__
        raise UsageError(f"name TASK/CELL, a Path of a file or a configuration; not a {kind}")
    return experiment(start)


def from_run(saved: dict[str, Any], arguments: Sequence[str]) -> FrozenConfigDict:
    """The content of a run's `config.json` with the keys changed that the arguments name.

    Raises `UsageError` for `--config=FILE` among the arguments, an unknown key or a bad value.
    """
    file, overrides = read_arguments(arguments)
    if file is not None:
        raise UsageError(f"--config={file} does not go with a run that has a configuration already")
    return configuration(from_saved(saved), overrides)


def override(config: ConfigDict, changes: Mapping[str, Any]) -> None:
    """Set keys of an unfinished configuration, in place.

    A duration set in one unit is unset in the others. Raises `UsageError` for an unknown key,
    the names of task and cell, or a value of the wrong type.

    Args:
      changes: values by dotted key, each as its text or as in Python (see `as_texts`).
    """
    overrides = as_texts(changes)
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


def as_texts(changes: Mapping[str, Any]) -> dict[str, str]:
    """Values by dotted key as the texts that follow `--config.KEY=`.

    Values may be texts, numbers, truth values, paths, or lists of whole numbers, those of NumPy
    and JAX included. A mapping within the mapping is a section: `{"cell": {"hidden_size": 4}}` is
    `{"cell.hidden_size": 4}`. Raises `UsageError`, which names the key, for other values.
    """
    if not isinstance(changes, Mapping):
        raise UsageError(
            "changes of a configuration are values by dotted key, such as "
            f'{{"cell.hidden_size": 32}}; not {changes!r}'
        )
    texts: dict[str, str] = {}
    for key, value in changes.items():
        if not isinstance(key, str):
            raise UsageError(f"a configuration key is a text, such as 'seed'; not {key!r}")
        if isinstance(value, Mapping):
            texts |= {f"{key}.{inner}": text for inner, text in as_texts(value).items()}
        else:
            texts[key] = _as_text(key, value)
    return texts


def _as_text(key: str, value: Any) -> str:
    """One value of `as_texts`."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # of NumPy or JAX
        value = value.tolist()
    match value:
        case str() | Path():
            return str(value)
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case list() | tuple():
            return ",".join(_as_text(key, part) for part in value)
        case None:
            hint = "; set the duration in another unit instead" if duration_of(key) != key else ""
            raise UsageError(f"config.{key} must have a value, not None{hint}")
    raise UsageError(f"config.{key} takes a number or a text, not {str(value)[:60]}")


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
    _settle(config, f"get_config() of {path}")
    return config


def _settle(config: ConfigDict, what: str) -> None:
    """Unset the default durations of those that were set in another unit, in place.

    Raises `UsageError`, which names `what`, if the configuration lacks keys.
    """
    try:
        base = flat(experiment(f"{config.task.name}/{config.cell.name}", config.head.name))
        settle_durations(config, base)
    except (AttributeError, KeyError) as error:
        raise UsageError(f"{what} lacks keys; start from rnnexp.experiment('TASK/CELL')") from error


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
