"""Experiments whose widths are matched, and their numbers of parameters by formula."""

import inspect
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from rnnexp.config.schema import experiment, finish, options
from rnnexp.sweep.matching import TOLERANCE, Counts, require_match, with_width
from rnnexp.tasks.base import Task
from rnnexp.train.build import build_task

PARAMETERS = 20_000


def configured(name: str, **changes: Any) -> tuple[FrozenConfigDict, Task]:
    """An experiment and its task; `model__num_layers=2` changes a key."""
    config = experiment(name)
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    frozen = finish(config)
    return frozen, build_task(frozen.task.name, **options(frozen, "task"))


def match_width(
    config: FrozenConfigDict, task: Task, parameters: int, tolerance: float = TOLERANCE
) -> FrozenConfigDict:
    """One configuration with the width whose model comes nearest to so many parameters."""
    counts = Counts(config, task)
    require_match([counts], parameters, tolerance)
    return with_width(config, counts.nearest(parameters).hidden_size)


def formula(cell_name: str, task: Task, hidden_size: int) -> int:
    """Parameters of one layer and its readout, from the cell's closed formula."""
    entry = CELLS.entry(cell_name)
    factory = entry.factory()
    known = inspect.signature(factory).parameters
    given = {"output_size": task.output_size} if "output_size" in known else {}
    changed = {key.removeprefix("cell."): value for key, value in entry.defaults.items()}
    given |= {key: value for key, value in changed.items() if key in entry.options()}
    cell: Cell = factory(task.input_size, hidden_size, **given)
    readout = 0 if cell.is_network else (cell.output_size + 1) * task.output_size
    return cell.parameter_count + readout
