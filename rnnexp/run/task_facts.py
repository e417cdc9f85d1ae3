"""What a reader of a run needs of its task, kept in the run: `task.json`.

A trained model can be read, and its samples written in the right symbols, when the data are
gone or are others by now.
"""

from pathlib import Path
from typing import Any, NoReturn

from rnnexp.core.errors import UsageError
from rnnexp.core.files import replace_text, to_json
from rnnexp.core.registry import MODES
from rnnexp.run.files import read_json
from rnnexp.tasks.base import Bucket, Bucketed, Endless, Source, Stream, Task
from rnnexp.tasks.batches import source_size

FILE = "task.json"
STORED = (
    "name", "mode", "input_size", "output_size", "num_steps", "headline", "higher_is_better",
    "forced_steps", "target_steps", "alphabet", "input_alphabet", "causal",
)  # fmt: skip
"""The fields of a task that are stored as they are."""
WORDS = ("words", "output_words")
"""The fields that are lists of words; those that a task does not have are not stored."""


def write_task(run: Path, task: Task) -> None:
    """Write `task.json` into a run's directory."""
    facts: dict[str, Any] = {name: getattr(task, name) for name in STORED}
    for name in WORDS:  # absent in runs of tasks without words, and in older ones
        if getattr(task, name) is not None:
            facts[name] = getattr(task, name)
    facts["train_size"] = source_size(task.train)
    facts["window_steps"] = task.train.window_steps if isinstance(task.train, Stream) else None
    facts["has_teacher"] = task.teacher is not None
    replace_text(run / FILE, to_json(facts, indent=2) + "\n")


def read_task(run: Path) -> Task | None:
    """The task of a run, without its data; None for a run of a version that stored none.

    Raises `UsageError` if `task.json` is damaged.
    """
    facts = read_json(run / FILE)
    if facts is None:
        return None
    if (fault := _fault(facts)) is not None:
        raise UsageError(f"{run / FILE} is damaged: {fault}")
    try:
        source = _source(facts["train_size"], facts["window_steps"], facts["num_steps"])
        fields: dict[str, Any] = {name: facts[name] for name in STORED}
        fields |= {name: tuple(facts[name]) for name in WORDS if facts.get(name) is not None}
        return Task(
            **fields,
            train=source, valid=source, test=source, scores=_absent, baseline={},
            teacher=_absent if facts["has_teacher"] else None,
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise UsageError(f"{run / FILE} is damaged: {error!r}") from error


def _fault(facts: dict[str, Any]) -> str | None:
    """What is wrong with the content of `task.json`, or None."""
    for name in ("input_size", "output_size", "num_steps", "forced_steps", "target_steps"):
        if type(facts.get(name)) is not int or not 0 <= facts[name] < 2**31:
            return f"{name} must be a whole number, not {facts.get(name)!r}"
    for name in ("train_size", "window_steps"):
        if not (facts.get(name) is None or type(facts[name]) is int):
            return f"{name} must be a whole number or null, not {facts[name]!r}"
    for name in ("alphabet", "input_alphabet"):
        if not (facts.get(name) is None or isinstance(facts[name], str)):
            return f"{name} must be a text or null, not {facts[name]!r}"
    for name in WORDS:
        words = facts.get(name)
        if not (words is None or (isinstance(words, list) and all(type(w) is str for w in words))):
            return f"{name} must be a list of texts"
    return None if facts.get("mode") in MODES else f"mode must be one of {', '.join(MODES)}"


def _source(size: int | None, window_steps: int | None, num_steps: int) -> Source:
    """A source of that size from which nothing can be taken."""
    if size is None:
        return Endless(_absent)
    if window_steps is not None:
        return Stream((), size, window_steps, _absent)
    return Bucketed((Bucket((), size, num_steps),), _absent)


def _absent(*arguments: Any) -> NoReturn:
    raise UsageError("this task was read from a run's task.json, which has no data")
