"""The configuration of an experiment, with keys changed as on the command line."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from rnnexp.config import schema
from rnnexp.config.overrides import override

NOTHING: Mapping[str, Any] = MappingProxyType({})


def experiment(
    name: str, changes: Mapping[str, Any] = NOTHING, *, head: str = "linear"
) -> ConfigDict:
    """The configuration of an experiment: its defaults with some keys changed.

    Its values may be changed further; `rnnexp.run` takes it as it is, and `rnnexp.finish` checks
    and freezes it.

    Args:
      name: TASK/CELL.
      changes: values by dotted key, `{"optimizer.learning_rate": 1e-3, "cell.hidden_size": 50}`,
        as `--config.KEY=VALUE` has them. A duration set in one unit is unset in the others.
      head: how features become outputs; `changes` may name it too, as `head.name`.

    Raises:
      UsageError: for an unknown name or key, with the one that is meant, or a value of the wrong
        type.
    """
    config = schema.experiment(name, head)
    override(config, changes)
    return config


def as_path(given: str | Path | None) -> Path | None:
    """A place as functions for scripts take it; None stays."""
    return None if given is None else Path(given)
