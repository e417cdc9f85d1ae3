"""rnnexp: how far gradients flow through time, cell by cell, task by task.

The names below are imported on first use, so that `import rnnexp` stays quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnexp.api.configure import experiment as experiment
    from rnnexp.api.model import Output as Output
    from rnnexp.api.model import TrainedModel as TrainedModel
    from rnnexp.api.model import load_model as load_model
    from rnnexp.api.read import analyze as analyze
    from rnnexp.api.read import compare as compare
    from rnnexp.api.read import report as report
    from rnnexp.api.train import SweepResult as SweepResult
    from rnnexp.api.train import run as run
    from rnnexp.api.train import sweep as sweep
    from rnnexp.cells import cell as cell
    from rnnexp.cells.base import Cell as Cell
    from rnnexp.config.schema import finish as finish
    from rnnexp.core.errors import RunError as RunError
    from rnnexp.core.errors import UsageError as UsageError
    from rnnexp.core.types import Batch as Batch
    from rnnexp.core.user_files import data_file as data_file
    from rnnexp.laboratory.examine import examine_cell as examine_cell
    from rnnexp.laboratory.examine import examine_model as examine_model
    from rnnexp.laboratory.settings import Laboratory as Laboratory
    from rnnexp.learning import loss as loss
    from rnnexp.learning import optimizer as optimizer
    from rnnexp.learning import schedule as schedule
    from rnnexp.models.heads import head as head
    from rnnexp.results.frames import load_gradients as load_gradients
    from rnnexp.results.frames import load_laboratory as load_laboratory
    from rnnexp.results.frames import load_runs as load_runs
    from rnnexp.results.load import load_run as load_run
    from rnnexp.run.callbacks import Callbacks as Callbacks
    from rnnexp.run.callbacks import RunResult as RunResult
    from rnnexp.tasks import task as task
    from rnnexp.tasks.base import Task as Task

_HOMES = {
    "experiment": "rnnexp.api.configure",
    "finish": "rnnexp.config.schema",
    "run": "rnnexp.api.train",
    "sweep": "rnnexp.api.train",
    "Callbacks": "rnnexp.run.callbacks",
    "RunResult": "rnnexp.run.callbacks",
    "SweepResult": "rnnexp.api.train",
    "load_model": "rnnexp.api.model",
    "TrainedModel": "rnnexp.api.model",
    "Output": "rnnexp.api.model",
    "load_run": "rnnexp.results.load",
    "load_runs": "rnnexp.results.frames",
    "load_gradients": "rnnexp.results.frames",
    "load_laboratory": "rnnexp.results.frames",
    "compare": "rnnexp.api.read",
    "analyze": "rnnexp.api.read",
    "report": "rnnexp.api.read",
    "cell": "rnnexp.cells",
    "task": "rnnexp.tasks",
    "head": "rnnexp.models.heads",
    "optimizer": "rnnexp.learning",
    "schedule": "rnnexp.learning",
    "loss": "rnnexp.learning",
    "data_file": "rnnexp.core.user_files",
    "Cell": "rnnexp.cells.base",
    "Task": "rnnexp.tasks.base",
    "Batch": "rnnexp.core.types",
    "Laboratory": "rnnexp.laboratory.settings",
    "examine_cell": "rnnexp.laboratory.examine",
    "examine_model": "rnnexp.laboratory.examine",
    "UsageError": "rnnexp.core.errors",
    "RunError": "rnnexp.core.errors",
}
"""By public name the module that has it. Those imported above tell the same to type checkers."""
_CALLED = ("run", "sweep", "report")
"""Names that are packages too, which can be called: `rnnexp.core.callable_package`."""
__all__ = [*_HOMES]


def public(name: str) -> Any:
    """The object of that public name; of a package that can be called, its function."""
    return getattr(importlib.import_module(_HOMES[name]), name)


if not TYPE_CHECKING:  # so that a mistyped name is an error in a type checker too

    def __getattr__(name: str) -> Any:
        if name in _CALLED:
            return importlib.import_module(f"rnnexp.{name}")
        if name in _HOMES:
            return public(name)
        import difflib

        near = difflib.get_close_matches(name, _HOMES, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"module 'rnnexp' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted(__all__)
