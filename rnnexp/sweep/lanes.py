"""Trains many runs on the lanes of one compiled program, in this process.

A `RunQueue` makes planned runs ready for free lanes. It takes them from a `RunSource`: a list
of runs (`listed_runs`), or the trials of a search (`rnnexp.sweep.search.search.TrialSource`).
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import options
from rnnexp.core.errors import UsageError, first_line
from rnnexp.run.callbacks import Observer, RunResult
from rnnexp.run.files import RunLog
from rnnexp.run.measure import Examiner, examiner_of
from rnnexp.run.run import CHUNK_STEPS
from rnnexp.run.session import RunSession
from rnnexp.run.sources import Sources, sources_reader
from rnnexp.run.trainer import FAILURES, Trainer
from rnnexp.runtime.signals import StopRequest
from rnnexp.sweep.lane_timing import choose_width
from rnnexp.sweep.plan import PlannedRun, record_failure
from rnnexp.train.compiled import Programs
from rnnexp.train.lanes import LaneLayout
from rnnexp.train.plan import Plan, make_lane, make_plan
from rnnexp.train.program import TrainState

log = logging.getLogger("rnnexp")
LANE_SETS = 2
"""Sets of lanes that take turns: devices train one while the host writes files for the other."""


@dataclass(frozen=True)
class RunPaths:
    """Where runs are kept, and where data files are looked for first."""

    runs_dir: Path
    data_dir: Path | None = None


class Validation(NamedTuple):
    """A run's headline score on the validation set after `step` updates.

    `last` is true for the final validation, after which there is nothing left to stop.
    """

    step: int
    value: float
    last: bool


@dataclass(frozen=True)
class RunSource:
    """Where the runs of one program come from, and the callbacks that follow them.

    Attributes:
      waiting: the runs that wait, in order.
      next_run: removes the next run from `waiting` and returns it. None means that there is
        none now; a search may have one later.
      on_run_end: called once for each run that has ended or could not start.
      on_run_locked: called instead if another process holds the run's directory, with the reason.
      should_prune: called after each validation of a run. Returns why the run must stop now;
        None lets it go on.
    """

    waiting: list[PlannedRun]
    next_run: Callable[[], PlannedRun | None]
    on_run_end: Callable[[PlannedRun, RunResult], None]
    on_run_locked: Callable[[PlannedRun, str], None]
    should_prune: Callable[[PlannedRun, Validation], str | None]


def listed_runs(runs: Sequence[PlannedRun], on_run_end: Callable[[str], None]) -> RunSource:
    """A source of runs that are known beforehand; none is pruned.

    `on_run_end` receives the status of each run that ends.
    """
    waiting = list(runs)
    return RunSource(
        waiting,
        next_run=lambda: waiting.pop(0) if waiting else None,
        on_run_end=lambda run, result: on_run_end(result.status),
        on_run_locked=lambda run, reason: None,
        should_prune=lambda run, validation: None,
    )


class _LatestScores(Observer):
    """Keeps the scores of a run's latest validation."""

    def __init__(self) -> None:
        self.scores: Mapping[str, float] = {}

    def evaluated(self, split: str, step: int, scores: Mapping[str, float]) -> None:
        del step
        if split == "valid":
            self.scores = scores


class RunQueue:
    """Makes the runs of a source ready for lanes. All its runs share one compiled program."""

    def __init__(self, source: RunSource, paths: RunPaths):
        self.source, self.paths = source, paths
        self.sources_of = sources_reader(paths.data_dir)
        self.plans: dict[str, Plan] = {}
        """One plan for each set of cell options, as it holds the function that draws weights."""
        self.examiner: Callable[[], Examiner] | None = None
        """Makes the program's laboratory, which all sets of lanes share."""
        self.training: dict[Path, tuple[PlannedRun, _LatestScores]] = {}
        """The runs that train now, by directory."""

    def first_plan(self) -> Plan | None:
        """The plan from which the program is compiled; its run keeps waiting.

        Runs for which no plan can be made are recorded as failed. None if no run is left.
        """
        while self.source.waiting:
            try:
                config = self.source.waiting[0].frozen()
                plan = make_plan(config, data_dir=self.paths.data_dir, chunk_steps=CHUNK_STEPS)
            except (UsageError, *FAILURES) as error:
                self._cannot_start(self.source.waiting.pop(0), error)
                continue
            self.plans[str(options(config, "cell"))] = plan
            self.examiner = examiner_of(plan)
            return plan
        return None

    def next_run(self) -> tuple[RunSession, TrainState] | None:
        """The next run, started or resumed, and the state from which it goes on."""
        while (run := self.source.next_run()) is not None:
            session, latest = None, _LatestScores()
            try:
                config = run.frozen()
                sources = self._sources(run, config)
                files = RunLog(self.paths.runs_dir / run.run)
                session = RunSession(self._plan(config), files, latest)
                self.training[session.files.path] = run, latest
                return session, session.begin(sources)
            except (UsageError, *FAILURES) as error:
                if session is None:
                    self._cannot_start(run, error)
                else:
                    self.on_run_end(session.fail(first_line(error)), error)
        return None

    def _sources(self, run: PlannedRun, config: FrozenConfigDict) -> Sources:
        """The user's own files of a run; `UsageError` if they are not those of its plan."""
        sources = self.sources_of(config)
        if run.sources not in (None, sources.digest):
            raise UsageError(
                "a file of the user's, code or data, has changed since the sweep was planned; "
                "plan it again, and it makes new runs"
            )
        return sources

    def _plan(self, config: FrozenConfigDict) -> Plan:
        """A run's plan, derived from one of the same cell options if there is one."""
        cell_options = str(options(config, "cell"))
        base = self.plans.get(cell_options) or next(iter(self.plans.values()))
        plan = make_lane(base, config)
        self.plans.setdefault(cell_options, plan)
        return plan

    def should_prune(self, session: RunSession) -> str | None:
        """Why a run that was just validated must stop; None lets it go on."""
        run, latest = self.training[session.files.path]
        value = latest.scores[session.task.headline]
        return self.source.should_prune(run, Validation(session.step, value, session.ended))

    def on_run_end(self, result: RunResult, error: BaseException | None) -> None:
        """Log how a run ended if it did not complete, and pass its result to the source."""
        if result.status == "failed":
            log.warning("%s failed after step %d: %s", result.path, result.step, result.reason)
        elif result.status == "diverged":
            log.info("%s diverged: %s", result.path, result.reason)
        run, _ = self.training.pop(result.path)
        self.source.on_run_end(run, result)

    def _cannot_start(self, run: PlannedRun, error: BaseException) -> None:
        """Record why a run has not started, unless another process trains it."""
        path, reason = self.paths.runs_dir / run.run, first_line(error)
        try:
            step = record_failure(path, run, reason)
        except UsageError as locked:
            log.warning("%s is left to others: %s", path, locked)
            self.source.on_run_locked(run, first_line(locked))
            return
        log.warning("%s failed: %s", path, reason)
        self.source.on_run_end(run, RunResult(path, "failed", step, reason))


def train_lanes(
    runs: Sequence[PlannedRun],
    *,
    runs_dir: Path,
    data_dir: Path | None,
    width: int | None = None,
    cpus: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_run_end: Callable[[str], None] = lambda status: None,
) -> None:
    """Train the runs of one group to their ends; each leaves its directory as a solo run does.

    Args:
      width: how many runs train side by side on a device; None measures which is fastest.
      cpus: how many cores may serve as devices; None: all.
      should_stop: called between chunks; true checkpoints all runs and stops.
      on_run_end: called with the status of each run that ends.
    """
    start_devices(max(len(runs), *(int(run.config["devices"]) for run in runs)), cpus)
    source = listed_runs(runs, on_run_end)
    queue = RunQueue(source, RunPaths(runs_dir, data_dir))
    if (plan := queue.first_plan()) is None:
        return
    layout = choose_layout(plan, len(runs), width)
    programs = Programs(plan, layout)
    with StopRequest(60 * budget_minutes(runs)) as stop:
        while source.waiting and stop.name is None:
            sets = LANE_SETS if len(source.waiting) > layout.lanes else 1
            train_queue(programs, queue, stop, should_stop, lane_sets=sets)
    log.info("lanes on %s; compilations of the training program: %d", layout, programs.compilations)


def budget_minutes(runs: Sequence[PlannedRun]) -> float:
    """The smallest time budget of runs that share a process; 0 if none has one."""
    budgets = (
        float(({"budget_minutes": 0.0} | run.config["train"])["budget_minutes"]) for run in runs
    )
    return min((budget for budget in budgets if budget > 0), default=0.0)


def train_queue(
    programs: Programs,
    queue: RunQueue,
    stop: StopRequest,
    should_stop: Callable[[], bool],
    *,
    lane_sets: int,
) -> None:
    """Train a queue's runs on sets of lanes in turn.

    Returns when all runs have ended, when a device error has ended every set, or on a stop.
    """
    trainers = [
        Trainer(
            programs,
            queue.next_run,
            queue.on_run_end,
            should_prune=queue.should_prune,
            examiner=queue.examiner,
        ).rounds(stop)
        for _ in range(lane_sets)
    ]
    while trainers:
        for trainer in list(trainers):
            if next(trainer, "ended") == "ended":
                trainers.remove(trainer)
            if stop.name is None and should_stop():
                stop.name = "cancelled"


def choose_layout(plan: Plan, runs: int, width: int | None) -> LaneLayout:
    """The lanes for so many runs of a plan.

    Runs that divide their batches over several devices train one after another.
    """
    if plan.config.devices > 1:
        return LaneLayout()
    devices = min(len(jax.devices()), runs)
    best = width or choose_width(plan, devices=devices, runs=runs)
    return LaneLayout(devices, min(best, -(-runs // devices)))


def start_devices(runs: int, cpus: int | None = None) -> None:
    """On a CPU, make one XLA device of each core, up to the number of runs.

    Does nothing if JAX has initialised its devices already.
    """
    cores = min(len(os.sched_getaffinity(0)), cpus or runs)
    try:
        jax.config.update("jax_num_cpu_devices", min(cores, runs))
    except RuntimeError:
        log.info("JAX has begun already: lanes stand on its %d device(s)", len(jax.devices()))
