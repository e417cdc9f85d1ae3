"""Configurations in YAML and JSON files."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from rnnexp.config.choices import choose
from rnnexp.config.defaults import LATER
from rnnexp.config.schema import (
    assign,
    duration_of,
    experiment,
    flat,
    require_known,
    settle_durations,
)
from rnnexp.core.errors import UsageError, first_line

ENDINGS = (".yaml", ".yml", ".json")
NAMES = ("task.name", "cell.name", "head.name")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan")
"""A number in YAML 1.2; the library reads YAML 1.1, in which 1e-3 is a text."""


def read_config(path: Path) -> ConfigDict:
    """The unfinished configuration of a YAML or JSON file: its experiment's defaults, changed.

    The file holds `task: {name: TASK}`, `cell: {name: CELL}` and any other keys, in sections or
    dotted (`optimizer.learning_rate: 1e-3`): a run's `config.json`, or what `rnnexp run
    --print-config` prints. A duration that is null is set in another unit.

    Raises:
      UsageError: for a file that cannot be read, an unknown key, or a value of the wrong type.
    """
    values = _dotted(_content(path), path)
    for key in ("task.name", "cell.name"):
        if not isinstance(values.get(key), str):
            raise UsageError(f"{path} must name its experiment: task.name and cell.name")
    try:
        head = values.get("head.name", LATER["head.name"])
        config = experiment(f"{values['task.name']}/{values['cell.name']}", head)
        choose(config, values)
        defaults = flat(config)
        for key in values:
            require_known(key, defaults)
        changes = {
            key: value
            for key, value in values.items()
            if key not in NAMES and not (value is None and duration_of(key) != key)
        }
        assign(config, changes)
        settle_durations(config, defaults, changes)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return config


def _content(path: Path) -> Any:
    """What a file holds; `UsageError` if it is none or cannot be parsed."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UsageError(f"cannot read the config file {path}: {reason}") from error
    try:
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_once)
        import yaml

        try:
            return yaml.load(text, Loader=_loader())
        except yaml.YAMLError as error:
            raise ValueError(" ".join(str(error).split())) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"config file {path}: {first_line(error)}") from error


def _once(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A dictionary of pairs; `ValueError` for a key that occurs twice."""
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is given twice")
        found[key] = value
    return found


@cache
def _loader() -> type:
    """PyYAML's safe loader that reads numbers as YAML 1.2 does and refuses keys given twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        pairs = loader.construct_pairs(node, deep=True)
        return _once((key if isinstance(key, str) else str(key), value) for key, value in pairs)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))
    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    return Loader


def _dotted(content: Any, path: Path, prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings by dotted key; `UsageError` for anything but mappings."""
    if not isinstance(content, Mapping):
        raise UsageError(f"{path} must hold keys and values, not {type(content).__name__}")
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        inner = _dotted(value, path, f"{name}.") if isinstance(value, Mapping) else {name: value}
        if twice := found.keys() & inner.keys():
            raise UsageError(f"{path}: {min(twice)!r} is given twice")
        found |= inner
    return found
