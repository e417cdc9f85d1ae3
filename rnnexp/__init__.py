"""rnnexp: how far gradients flow through time, cell by cell, task by task.

The names below are imported on first use, so that `import rnnexp` stays quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnexp.run.run import run as run

_HOMES = {
    "cell": "rnnexp.cells",
    "data_file": "rnnexp.core.user_files",
    "task": "rnnexp.tasks",
    "head": "rnnexp.models.heads",
    "optimizer": "rnnexp.learning",
    "schedule": "rnnexp.learning",
    "loss": "rnnexp.learning",
    "Cell": "rnnexp.cells.base",
    "Task": "rnnexp.tasks.base",
    "experiment": "rnnexp.config.schema",
    "finish": "rnnexp.config.schema",
    "load_run": "rnnexp.results.load",
    "load_runs": "rnnexp.results.frames",
    "load_gradients": "rnnexp.results.frames",
    "load_laboratory": "rnnexp.results.frames",
    "Laboratory": "rnnexp.laboratory.settings",
    "examine_cell": "rnnexp.laboratory.examine",
    "examine_model": "rnnexp.laboratory.examine",
}
__all__ = [*_HOMES, "run"]


def __getattr__(name: str) -> Any:
    if name == "run":
        return importlib.import_module("rnnexp.run")  # a package that can be called
    if name not in _HOMES:
        raise AttributeError(f"module 'rnnexp' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
