"""The tests of a trained network at other lengths than those that it trains on."""

from collections.abc import Mapping

from ml_collections import FrozenConfigDict

from rnnexp.cells.base import Cell
from rnnexp.config.validate import require_fit
from rnnexp.core.errors import UsageError
from rnnexp.core.registry import MODES
from rnnexp.tasks.base import Lengths, Task
from rnnexp.tasks.batches import fill_paddings
from rnnexp.train.abstract_call import Entry, described, is_count
from rnnexp.train.build import build_structure
from rnnexp.train.check_task import check_task
from rnnexp.train.memory_need import require_room_for_evaluation

SAME = ("mode", "input_size", "output_size", "headline", "higher_is_better")
"""Facts of a task that no length may change: the same network answers, the same score counts."""


def length_tasks(config: FrozenConfigDict, task: Task, cell: Cell) -> dict[int, Task]:
    """The task at each length of `config.eval.lengths`, or of its own if that is empty.

    They are in the order of the lengths, and checked like any task. `cell` is that of the model.

    Raises `UsageError` if the task has no other lengths, or not one of these; if a task at a length
    is another to the network; or if a batch of it cannot fit into memory.
    """
    asked = tuple(config.eval.lengths)
    if task.lengths is None:
        if asked:
            raise UsageError(
                f"config.eval.lengths: {task.name} has no lengths at which it can be tested; leave "
                "it empty, or choose another task"
            )
        return {}
    _check_lengths(task.name, task.lengths)
    return {n: _at(config, task, task.lengths, cell, n) for n in sorted(asked or task.lengths.test)}


def _at(config: FrozenConfigDict, task: Task, lengths: Lengths, cell: Cell, length: int) -> Task:
    """The task at one length."""
    entry = Entry("task", task.name)
    try:
        made = check_task(task.name, entry.make(lengths.at, length), MODES)
        require_room_for_evaluation(config, made)
        require_fit(config, build_structure(config), cell, made)
    except UsageError as error:
        raise UsageError(
            f"config.eval.lengths: {task.name} cannot be tested at length {length} "
            f"({lengths.unit}): {error}"
        ) from error
    for field in SAME:
        here, there = getattr(task, field), getattr(made, field)
        if here != there:
            raise UsageError(
                f"config.eval.lengths: at length {length} ({lengths.unit}) {task.name} has {field} "
                f"{there!r}, but the network trains with {here!r}; leave that length out"
            )
    return fill_paddings(made)


def _check_lengths(name: str, lengths: Lengths) -> None:
    """Raise `UsageError` unless a task keeps the contract of `Lengths`."""
    entry = Entry("task", name)
    if not isinstance(lengths, Lengths):
        raise entry.error("lengths", f"is {described(lengths)}, expected rnnexp.tasks.base.Lengths")
    if not isinstance(lengths.unit, str):
        raise entry.error("lengths.unit", f"is {described(lengths.unit)}, expected a text")
    for field in ("train", "test"):
        values = getattr(lengths, field)
        if not isinstance(values, tuple) or not all(map(is_count, values)):
            raise entry.error(
                f"lengths.{field}", f"is {values!r}, expected whole numbers from 1 on in a tuple"
            )
    if len(lengths.train) != 2 or lengths.train[0] > lengths.train[1]:
        raise entry.error(
            "lengths.train", f"is {lengths.train!r}, expected the shortest and the longest length"
        )


def described_lengths(task: Task, tasks: Mapping[int, Task]) -> dict[str, object]:
    """What a reader of the scores needs to know of the lengths, as JSON."""
    lengths = task.lengths
    assert lengths is not None
    return {
        "unit": lengths.unit,
        "train": list(lengths.train),
        "baseline": {str(n): dict(at.baseline) for n, at in tasks.items()},
    }
