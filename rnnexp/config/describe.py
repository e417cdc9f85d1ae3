"""The keys of a configuration with what each means: as rows, and as a file to start from."""

import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict

from rnnexp.cells import CELLS
from rnnexp.config.choices import names_in, own_options
from rnnexp.config.defaults import KEYS, UNITS
from rnnexp.config.schema import duration_of, experiment, flat
from rnnexp.models.heads import HEADS
from rnnexp.tasks import TASKS

COMMENT_COLUMN = 40
"""Where comments begin in `as_yaml`, unless a value is longer."""
FIXED = ("task.name", "cell.name")
PARTS = {"task": TASKS, "cell": CELLS, "head": HEADS}


def key_rows(name: str | None = None) -> list[dict[str, Any]]:
    """A row for each key: those of every experiment, or those of TASK/CELL.

    Returns:
      `key`, `default`, `meaning`; of TASK/CELL also `usual`, the default of other experiments
      (that of this one where there is none), and `changed_by`: `task`, `cell` or nothing.
    """
    if name is None:
        return [
            {"key": key, "default": row.default, "meaning": row.meaning}
            for key, row in KEYS.items()
        ]
    config = experiment(name)
    meaning = meanings(config)
    changed = {
        duration_of(key): part
        for part in ("task", "cell")
        for key in PARTS[part].entry(config[part].name).defaults
    }
    rows = []
    for key, value in flat(config).items():
        usual = KEYS[key].default if key in KEYS and key not in FIXED else value
        by = changed.get(duration_of(key), "") if value != usual else ""
        rows.append(
            {
                "key": key,
                "default": value,
                "usual": usual,
                "changed_by": by,
                "meaning": meaning[key],
            }
        )
    return rows


def meanings(config: ConfigDict | FrozenConfigDict) -> dict[str, str]:
    """What each key of a configuration means, in one line."""
    found = {key: row.meaning for key, row in KEYS.items()}
    for part, table in PARTS.items():
        options = table.entry(config[part].name).signature()
        found |= {f"{part}.{name}": option.meaning for name, option in options.items()}
    own = own_options(names_in(config))
    return found | {key: option.meaning for key, option in own.items()}


def as_yaml(config: FrozenConfigDict) -> str:
    """The configuration as YAML that `--config=FILE` reads, each key with its meaning.

    A duration is written in the unit in which it is set.
    """
    return "\n".join(_lines(config.to_dict(), meanings(config), ""))


def _lines(values: Mapping[str, Any], meaning: Mapping[str, str], section: str) -> list[str]:
    """The lines of a section, and of those in it."""
    lines = []
    for name, value in values.items():
        key, indent = f"{section}{name}", "  " * section.count(".")
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_lines(value, meaning, f"{key}.")]
        elif value is not None or not key.endswith(tuple(UNITS)):
            line = f"{indent}{name}: {json.dumps(value)}"
            lines.append(f"{line:<{COMMENT_COLUMN - 2}}  # {meaning[key]}")
    return lines
