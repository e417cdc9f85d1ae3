"""Trains one run from its start, or from its last checkpoint, to its end."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ml_collections import FrozenConfigDict

from rnnexp.config.validate import require_log
from rnnexp.core.errors import RunError, UsageError, first_line
from rnnexp.run.about import About, write_about
from rnnexp.run.callbacks import CallbackObserver, Callbacks, Observer, RunResult, run_path
from rnnexp.run.extend import extend
from rnnexp.run.files import ENDED, RunLog
from rnnexp.run.first_process import in_first_process, shared_result
from rnnexp.run.session import RunSession
from rnnexp.run.sources import find_sources, name_earlier
from rnnexp.run.trainer import FAILURES, Trainer, stop_reason
from rnnexp.runtime.collectives import from_first, is_first
from rnnexp.runtime.mesh import prepare
from rnnexp.runtime.signals import StopRequest
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_plan
from rnnexp.train.program import TrainState

log = logging.getLogger("rnnexp")
CHUNK_STEPS = 100


def run(
    config: FrozenConfigDict,
    *,
    runs_dir: Path,
    data_dir: Path | None = None,
    observer: Observer | None = None,
    callbacks: Sequence[Callbacks] = (),
    origin: Path | None = None,
    about: About = About(),  # noqa: B008  an immutable value
) -> RunResult:
    """Train until the configured end, a divergence or a signal.

    A run that has a checkpoint is resumed from it. A run that has ended already is not
    trained; its result is returned.

    Args:
      config: from `finish` or `from_command_line`.
      runs_dir: the run's directory is TASK/CELL/RUN_ID below it.
      data_dir: where to look for data files first.
      origin: a finished run of the same configuration, but shorter, to go on from; see `extend`.
      about: a name, tags and a note, which do not change what the run is.
      observer: receives the run's events; with several processes, in the first one.
      callbacks: functions of the user's that are told of them after it, and may stop the run.

    Raises:
      UsageError: the configuration, the data or the directory cannot be used.
      RunError: storage, the device or a callback failed during the run; the same call resumes.
    """
    prepare(config.devices)
    sources, task = find_sources(config, data_dir)
    path = run_path(config, runs_dir, sources.digest)
    if (ended := _ended(path)) is not None:
        from_first(lambda: write_about(path, about))
        return ended
    require_log(config)
    plan = make_plan(config, data_dir=data_dir, chunk_steps=CHUNK_STEPS, task=task)
    if is_first():
        name_earlier(path, config, sources)
    if origin is not None:
        from_first(lambda: extend(origin, plan, path, sources))
    observer = observer if observer is not None and is_first() else Observer()
    stop = StopRequest(60 * config.train.budget_minutes)
    told = CallbackObserver(observer, callbacks if is_first() else (), stop)
    session = RunSession(plan, in_first_process(RunLog, path), told)
    from_first(lambda: write_about(path, about))
    results: list[tuple[RunResult, BaseException | None]] = []
    with stop:
        try:
            waiting: list[tuple[RunSession, TrainState]] = [(session, session.begin(sources))]
            trainer = Trainer(
                Programs(plan),
                lambda: waiting.pop() if waiting else None,
                lambda *result: results.append(result),
            )
            for number, _ in enumerate(trainer.rounds(stop)):
                if number == 1:  # the first step is logged, and the devices are busy
                    import_storage()
            if waiting:  # asked to stop before it could begin
                results.append((session.finish("interrupted", stop_reason(stop)), None))
        except FAILURES as error:
            results.append((session.fail(first_line(error)), error))
        finally:
            session.close()
    result, failure = results[0]
    told.ended(result)
    if failure is not None:
        raise RunError(
            f"run {path} failed after step {result.step}: {result.reason}. Its checkpoints "
            "are kept; the same command resumes."
        ) from failure
    told.raise_failure(result)
    return result


def _ended(path: Path) -> RunResult | None:
    """The result of a run that has ended already, None of any other."""
    try:
        result = shared_result(path)
    except UsageError as error:
        log.warning("%s: the run goes on from its checkpoints", error)
        return None
    return result if result is not None and result.status in ENDED else None


def import_storage() -> None:
    """Import what writes checkpoints and arrays, which takes a good part of a second."""
    import orbax.checkpoint  # noqa: F401
    import zarr  # noqa: F401
