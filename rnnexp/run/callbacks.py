"""What a run reports while it trains, to whom, and how it ended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.config.schema import run_id
from rnnexp.core.errors import RunError, UsageError, place_of
from rnnexp.run.files import read_status
from rnnexp.runtime.signals import StopRequest


class Observer:
    """Receives the events of a run. The methods do nothing until overridden."""

    def started(self, path: Path, first_step: int, total_steps: int) -> None:
        """The run begins, or is resumed, in `path`."""

    def noted(self, text: str) -> None:
        """A remark about the run, of one line."""

    def compared(self, baselines: Mapping[str, float]) -> None:
        """The closed-form figures to compare the run's scores with, by name."""

    def advanced(self, step: int, scalars: Mapping[str, float] | None) -> None:
        """`step` updates are made; `scalars` of the latest recorded step, if any is new."""

    def recorded(self, step: int, figures: Mapping[str, float]) -> None:
        """The figures of the recorded training step `step`, counted from 0."""

    def evaluated(self, split: str, step: int, scores: Mapping[str, float]) -> None:
        """An evaluation after `step` updates."""


@dataclass(frozen=True)
class RunResult:
    """How a run ended: its directory and the content of its `status.json`."""

    path: Path
    status: str
    step: int
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Callbacks:
    """Functions of yours that a run calls while it trains. Each is optional.

    They are called in the order of the run, between two chunks of steps, while the devices may be
    busy with the next chunk. All but `on_end` may stop the run: they return a text, the reason.
    Then the run is checkpointed and ends as `interrupted`; the same call resumes it. None goes on.

    An error in a callback loses nothing: the run is checkpointed first, and then `RunError` names
    the callback, its line and its error.

    Attributes:
      on_start: `(path, step, total)`: the run's directory; updates made before, 0 unless it is
        resumed; all updates that it is to have.
      on_step: `(step)`: updates made, after every chunk of steps, of about 2 seconds at most.
      on_record: `(step, figures)`: the figures of a recorded training step, as in `metrics.jsonl`
        (`record.every`); steps are counted from 0.
      on_eval: `(split, step, scores)`: `valid` or `test`, updates made, scores by name.
      on_end: `(result)`: how the run ended, also where it was stopped, diverged or failed.
    """

    on_start: Callable[[Path, int, int], str | None] | None = None
    on_step: Callable[[int], str | None] | None = None
    on_record: Callable[[int, Mapping[str, float]], str | None] | None = None
    on_eval: Callable[[str, int, Mapping[str, float]], str | None] | None = None
    on_end: Callable[["RunResult"], None] | None = None

    def __post_init__(self) -> None:
        for name, function in vars(self).items():
            if function is not None and not callable(function):
                raise UsageError(f"{name} must be a function, not {function!r}")


def as_callbacks(given: "Callbacks | Sequence[Callbacks]") -> tuple[Callbacks, ...]:
    """One `Callbacks` or several as a tuple; `UsageError` for anything else."""
    found = tuple(given) if isinstance(given, Sequence) else (given,)
    for one in found:
        if not isinstance(one, Callbacks):
            raise UsageError(f"callbacks are rnnexp.Callbacks(on_eval=...), not {one!r}")
    return found


class CallbackObserver(Observer):
    """Tells an observer and then the callbacks what happens, and asks for a stop in their name.

    Attributes:
      failure: of the first callback that failed its name, its error and `FILE:LINE`; None: none
        failed. After a failure no callback is called.
    """

    def __init__(self, observer: Observer, callbacks: Sequence[Callbacks], stop: StopRequest):
        self.observer, self.callbacks, self.stop = observer, callbacks, stop
        self.failure: tuple[str, BaseException, str] | None = None

    def started(self, path: Path, first_step: int, total_steps: int) -> None:
        """Pass on."""
        self.observer.started(path, first_step, total_steps)
        self._call("on_start", path, first_step, total_steps)

    def noted(self, text: str) -> None:
        """Pass on."""
        self.observer.noted(text)

    def compared(self, baselines: Mapping[str, float]) -> None:
        """Pass on."""
        self.observer.compared(baselines)

    def advanced(self, step: int, scalars: Mapping[str, float] | None) -> None:
        """Pass on."""
        self.observer.advanced(step, scalars)
        self._call("on_step", step)

    def recorded(self, step: int, figures: Mapping[str, float]) -> None:
        """Pass on."""
        self.observer.recorded(step, figures)
        self._call("on_record", step, figures)

    def evaluated(self, split: str, step: int, scores: Mapping[str, float]) -> None:
        """Pass on."""
        self.observer.evaluated(split, step, scores)
        self._call("on_eval", split, step, scores)

    def ended(self, result: "RunResult") -> None:
        """Tell the callbacks how the run ended."""
        self._call("on_end", result)

    def raise_failure(self, result: "RunResult") -> None:
        """Raise what a callback has raised, now that the run has ended with a result.

        Raises `RunError` that names the callback; an exception that is no error, such as
        `KeyboardInterrupt`, as it is.
        """
        if self.failure is None:
            return
        name, error, place = self.failure
        if not isinstance(error, Exception):
            raise error
        place = f" ({place})" if place else ""
        then = "the same call resumes it" if result.status == "interrupted" else "nothing is lost"
        raise RunError(
            f"the callback {name}{place} failed: {type(error).__name__}: {error}. The run "
            f"{result.path} is {result.status} after {result.step} steps; {then}"
        ) from error

    def _call(self, name: str, *arguments: Any) -> None:
        """Call the callbacks of that name, and note what they ask for or raise."""
        may_stop = name != "on_end"
        for callbacks in self.callbacks:
            function = getattr(callbacks, name)
            if function is None or self.failure is not None:
                continue
            try:
                answer = function(*arguments)
                if answer is not None and not (answer and isinstance(answer, str) and may_stop):
                    wanted = "None, or a text to stop the run" if may_stop else "None"
                    raise TypeError(f"it returned {answer!r}; expected {wanted}")
            except BaseException as error:  # of whatever kind: the run is checkpointed first
                self.failure = name, error, place_of(error, function)
                answer = f"{name} failed: {type(error).__name__}"
            if answer is not None:
                self.stop.name = self.stop.name or f"a callback: {answer}"


def run_path(config: FrozenConfigDict, runs_dir: Path, sources: str = "") -> Path:
    """`RUNS_DIR/TASK/CELL/RUN_ID`; `sources` is the digest of the user's own files."""
    return runs_dir / str(config.task.name) / str(config.cell.name) / run_id(config, sources)


def read_result(path: Path) -> RunResult | None:
    """The result in a run's `status.json`, or None if there is none; `UsageError` as there."""
    content = read_status(path)
    if content is None:
        return None
    content.pop("time", None)
    return RunResult(
        path, content.pop("status"), content.pop("step"), content.pop("reason"), content
    )
