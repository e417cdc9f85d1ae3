"""Where a run is, how it ended by its files, and who is told of what meanwhile."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnexp.config.schema import run_id
from rnnexp.core.errors import RunError, UsageError
from rnnexp.results.load import load_run
from rnnexp.run.callbacks import (
    CallbackObserver,
    Callbacks,
    Observer,
    RunResult,
    as_callbacks,
    read_result,
    run_path,
)
from rnnexp.run.files import RunLog, read_json
from rnnexp.run.run import run
from rnnexp.runtime.signals import StopRequest
from tests.helpers.small_run import assert_same_runs, small_config

RESULT = RunResult(Path("run"), "interrupted", 7, "")


def test_a_run_s_directory_is_named_by_task_cell_and_configuration(tmp_path: Path) -> None:
    config = small_config(seed=3)
    path = run_path(config, tmp_path)
    assert path == tmp_path / "adding" / "lstm" / run_id(config)
    assert path.name.endswith("-seed3")
    assert run_path(small_config(seed=3, cell__hidden_size=7), tmp_path) != path


def test_a_result_is_the_content_of_the_status_file(tmp_path: Path) -> None:
    assert read_result(tmp_path / "none") is None
    files = RunLog(tmp_path / "run")
    files.set_status("completed", 7, "", test={"loss": 0.5}, test_step=3)
    files.close()
    details = {"test": {"loss": 0.5}, "test_step": 3}
    assert read_result(files.path) == RunResult(files.path, "completed", 7, "", details)


def fail(*arguments: Any) -> None:
    """A callback with an error."""
    raise KeyError(arguments[0])


def told(*callbacks: Callbacks) -> CallbackObserver:
    """An observer that passes on to callbacks."""
    return CallbackObserver(Observer(), callbacks, StopRequest())


def test_every_event_reaches_the_observer_first_and_then_the_callbacks() -> None:
    seen: list[Any] = []

    class Heard(Observer):
        def evaluated(self, split: str, step: int, scores: object) -> None:
            seen.append(("observer", split, step, scores))

    callbacks = Callbacks(
        on_start=lambda *event: seen.append(event),
        on_step=lambda *event: seen.append(event),
        on_record=lambda *event: seen.append(event),
        on_eval=lambda *event: seen.append(event),
        on_end=lambda *event: seen.append(event),
    )
    observer = CallbackObserver(Heard(), [callbacks, Callbacks()], StopRequest())
    observer.started(Path("run"), 3, 10)
    observer.recorded(4, {"loss": 0.5})
    observer.advanced(5, None)
    observer.evaluated("valid", 5, {"loss": 0.25})
    observer.ended(RESULT)
    observer.raise_failure(RESULT)
    evaluation = ("valid", 5, {"loss": 0.25})
    assert seen == [
        (Path("run"), 3, 10), (4, {"loss": 0.5}), (5,), ("observer", *evaluation), evaluation,
        (RESULT,),
    ]  # fmt: skip
    assert observer.stop.name is None


def test_a_text_stops_the_run_and_the_first_reason_stands() -> None:
    observer = told(Callbacks(on_step=lambda step: "enough" if step > 5 else None))
    observer.advanced(5, None)
    assert observer.stop.name is None
    observer.advanced(6, None)
    assert observer.stop.name == "a callback: enough"
    observer.stop.name = "SIGTERM"
    observer.advanced(7, None)
    assert observer.stop.name == "SIGTERM"


@pytest.mark.parametrize("answer", [True, False, "", 3])
def test_another_answer_is_an_error_of_the_callback(answer: Any) -> None:
    observer = told(Callbacks(on_step=lambda step: answer))
    observer.advanced(1, None)
    assert observer.stop.name == "a callback: on_step failed: TypeError"
    with pytest.raises(RunError, match=f"returned {answer!r}; expected None, or a text to stop"):
        observer.raise_failure(RESULT)
    observer = told(Callbacks(on_end=lambda result: answer))
    observer.ended(RESULT)
    with pytest.raises(RunError, match=f"returned {answer!r}; expected None"):
        observer.raise_failure(RESULT)


def test_an_error_is_raised_at_the_end_with_its_place() -> None:
    seen: list[int] = []
    observer = told(Callbacks(on_eval=fail, on_step=seen.append))
    observer.advanced(1, None)
    observer.evaluated("valid", 1, {"loss": 1.0})
    observer.advanced(2, None)
    assert seen == [1]  # nothing is called after a failure
    words = r"the callback on_eval \(.*test_callbacks.py:\d+\) failed: KeyError: 'valid'\. The run "
    with pytest.raises(RunError, match=words + "run is interrupted after 7 steps; the same call"):
        observer.raise_failure(RESULT)
    with pytest.raises(RunError, match="nothing is lost"):
        observer.raise_failure(RunResult(Path("run"), "completed", 7, ""))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_is_no_error_is_raised_as_it_is(kind: type[BaseException]) -> None:
    def end(step: int) -> None:
        raise kind

    observer = told(Callbacks(on_step=end))
    observer.advanced(1, None)
    with pytest.raises(kind):
        observer.raise_failure(RESULT)


def test_callbacks_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="on_eval must be a function, not 3"):
        Callbacks(on_eval=3)  # type: ignore[arg-type]
    wrong: Any = [lambda step: None]
    with pytest.raises(UsageError, match=r"callbacks are rnnexp\.Callbacks"):
        as_callbacks(wrong)
    with pytest.raises(UsageError, match=r"callbacks are rnnexp\.Callbacks"):
        as_callbacks(wrong[0])


def test_a_run_that_callbacks_stop_and_break_is_resumed_to_the_bit(tmp_path: Path) -> None:
    """Stopped at the validation of step 30, broken at a record after step 60, then completed."""
    config = small_config(train__duration_steps=90)
    recorded: list[int] = []
    ends: list[RunResult] = []

    def on_record(step: int, figures: Any) -> None:
        recorded.append(step)
        assert figures["loss"] > 0
        if step >= 60 and len(ends) == 1:
            raise ValueError("broken")

    def on_eval(split: str, step: int, scores: Any) -> str | None:
        return "far enough" if not ends and step == 30 else None

    callbacks = [Callbacks(on_record=on_record, on_eval=on_eval, on_end=ends.append)]

    def again() -> RunResult:
        return run(config, runs_dir=tmp_path / "one", callbacks=callbacks)

    stopped = again()
    assert (stopped.status, stopped.step) == ("interrupted", 30)
    assert stopped.reason == "a callback: far enough; the same command resumes"
    assert ends == [stopped]
    words = r"the callback on_record \(.*test_callbacks.py:\d+\) failed: ValueError: broken"
    with pytest.raises(RunError, match=words) as raised:
        again()
    assert isinstance(raised.value.__cause__, ValueError)
    status = read_json(stopped.path / "status.json") or {}
    assert status["status"] == "interrupted"
    assert 60 <= status["step"] <= 90
    ends.append(stopped)
    completed = again()
    assert (completed.status, completed.step, ends[-1]) == ("completed", 90, completed)
    assert recorded[:31] == [*range(0, 62, 2)]  # 60 is the one that failed
    assert recorded[-1] == 88
    undisturbed = run(config, runs_dir=tmp_path / "two")
    assert_same_runs(completed.path, undisturbed.path, config)


@pytest.mark.parametrize("when", ["on_start", "on_end"])
def test_an_error_before_the_first_or_after_the_last_step_loses_nothing(
    tmp_path: Path, when: str
) -> None:
    config = small_config(train__duration_steps=4, optimizer__warmup_steps=1)
    callbacks: dict[str, Callable[..., None]] = {when: fail}
    with pytest.raises(RunError, match=f"the callback {when}"):
        run(config, runs_dir=tmp_path, callbacks=[Callbacks(**callbacks)])
    [path] = tmp_path.glob("*/*/*")
    assert load_run(path).status["step"] == (0 if when == "on_start" else 4)
    assert run(config, runs_dir=tmp_path).status == "completed"
