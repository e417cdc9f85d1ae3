"""rnnexp: how far gradients flow through time, cell by cell, task by task.

The names below are imported on first use, so that `import rnnexp` stays quick.
"""

import importlib
from typing import Any

_HOMES = {
    "cell": "rnnexp.registry",
    "task": "rnnexp.registry",
    "Cell": "rnnexp.cells.base",
    "Task": "rnnexp.tasks.base",
    "experiment": "rnnexp.config",
    "finish": "rnnexp.config",
    "run": "rnnexp.runner",
    "load_run": "rnnexp.report.load",
    "load_runs": "rnnexp.report.frames",
    "load_gradients": "rnnexp.report.frames",
    "load_laboratory": "rnnexp.report.frames",
    "Laboratory": "rnnexp.gradflow.laboratory_settings",
    "examine_cell": "rnnexp.gradflow.laboratory",
    "examine_model": "rnnexp.gradflow.laboratory",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rnnexp' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
