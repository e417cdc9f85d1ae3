"""Many runs on the lanes of one program, in this process.

The runs come from a list, or one by one from a search that makes them up as it goes on.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import jax
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import options
from rnnexp.core.errors import UsageError, first_line
from rnnexp.run.callbacks import Observer, RunResult
from rnnexp.run.files import RunLog
from rnnexp.run.measure import Examiner, examiner_of
from rnnexp.run.run import CHUNK_STEPS
from rnnexp.run.session import RunSession
from rnnexp.run.trainer import FAILURES, Trainer
from rnnexp.runtime.signals import StopRequest
from rnnexp.sweep.lane_timing import choose_width
from rnnexp.sweep.plan import PlannedRun, record_failure
from rnnexp.train.compiled import Programs
from rnnexp.train.lanes import Layout
from rnnexp.train.plan import Plan, make_lane, make_plan
from rnnexp.train.program import TrainState

log = logging.getLogger("rnnexp")
CREWS = 2
"""Sets of lanes in turn: while the devices work for one, the host writes for the other."""


class Supply(Protocol):
    """Where runs of one program come from, and who is told what becomes of them."""

    runs: list[PlannedRun]
    """Those that wait already, in order."""

    def take(self) -> PlannedRun | None:
        """The next run, which waits no longer; None: there is none now, if perhaps later."""

    def judge(self, run: PlannedRun, step: int, value: float, *, last: bool) -> str | None:
        """Told the validation headline after `step` updates; why the run is to be stopped now.

        None: it goes on. After the `last` validation of a run there is nothing to stop.
        """

    def ended(self, run: PlannedRun, result: RunResult) -> None:
        """A run that was taken, or could not be begun, has ended; told once of each."""

    def occupied(self, run: PlannedRun, reason: str) -> None:
        """Instead of `ended`: another process holds the run's directory."""


class Listed:
    """A supply that is known beforehand: nothing is judged, nothing comes later."""

    def __init__(self, runs: Sequence[PlannedRun], told: Callable[[str], None]):
        self.runs, self.told = list(runs), told

    def take(self) -> PlannedRun | None:
        """See `Supply`."""
        return self.runs.pop(0) if self.runs else None

    def judge(self, run: PlannedRun, step: int, value: float, *, last: bool) -> str | None:
        """See `Supply`."""
        return None

    def ended(self, run: PlannedRun, result: RunResult) -> None:
        """See `Supply`."""
        self.told(result.status)

    def occupied(self, run: PlannedRun, reason: str) -> None:
        """See `Supply`."""


def train_lanes(
    runs: Sequence[PlannedRun],
    *,
    runs_dir: Path,
    data_dir: Path | None,
    imported: Sequence[Path] = (),
    width: int | None = None,
    cpus: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
    told: Callable[[str], None] = lambda status: None,
) -> None:
    """Train runs of one group to their ends; each leaves its directory as a solo run does.

    Args:
      width: how many runs stand side by side on a device; None: what is measured to be best.
      cpus: how many cores may become devices; None: all.
      stopped: asked between chunks whether to checkpoint and stop.
      told: the status of every run that ends.
    """
    start_devices(max(len(runs), *(int(run.config["devices"]) for run in runs)), cpus)
    supply = Listed(runs, told)
    waiting = Recruits(supply, runs_dir, data_dir, imported)
    if (plan := waiting.first_plan()) is None:
        return
    layout = choose_layout(plan, len(runs), width)
    programs = Programs(plan, layout)
    with StopRequest() as stop:
        while supply.runs and stop.name is None:
            crews = CREWS if len(supply.runs) > layout.lanes else 1
            drive(programs, waiting, stop, stopped, crews=crews)
    log.info("lanes on %s; compilations of the training program: %d", layout, programs.compilations)


def choose_layout(plan: Plan, runs: int, width: int | None) -> Layout:
    """Where so many runs of a plan stand. Those that divide their batches over devices of their
    own train one after another."""
    if plan.config.devices > 1:
        return Layout()
    devices = min(len(jax.devices()), runs)
    best = width or choose_width(plan, devices=devices, runs=runs)
    return Layout(devices, min(best, -(-runs // devices)))


def drive(
    programs: Programs,
    waiting: "Recruits",
    stop: StopRequest,
    stopped: Callable[[], bool],
    *,
    crews: int,
) -> None:
    """Crews in turn until all runs have ended, or lost their devices, or a stop is asked for."""
    working = [
        Trainer(
            programs,
            waiting.recruit,
            waiting.report,
            should_prune=waiting.judge,
            examiner=waiting.examiner,
        ).rounds(stop)
        for _ in range(crews)
    ]
    while working:
        for crew in list(working):
            if next(crew, "ended") == "ended":
                working.remove(crew)
            if stop.name is None and stopped():
                stop.name = "cancelled"


def start_devices(runs: int, cpus: int | None = None) -> None:
    """On a CPU, one XLA device a core, as far as there are runs; nothing if JAX has begun."""
    cores = min(len(os.sched_getaffinity(0)), cpus or runs)
    try:
        jax.config.update("jax_num_cpu_devices", min(cores, runs))
    except RuntimeError:
        log.info("JAX has begun already: lanes stand on its %d device(s)", len(jax.devices()))


class _Latest(Observer):
    """Remembers the latest validation."""

    def __init__(self) -> None:
        self.scores: Mapping[str, float] = {}

    def evaluated(self, split: str, step: int, scores: Mapping[str, float]) -> None:
        del step
        if split == "valid":
            self.scores = scores


class Recruits:
    """Makes the runs of a supply ready for lanes, from plans that share a program."""

    def __init__(
        self, supply: Supply, runs_dir: Path, data_dir: Path | None, imported: Sequence[Path]
    ):
        self.supply = supply
        self.runs_dir, self.data_dir, self.imported = runs_dir, data_dir, imported
        self.plans: dict[str, Plan] = {}
        """One for every set of options of the cell: it has the function that draws weights."""
        self.examiner: Callable[[], Examiner] | None = None
        """Gives the laboratory of the program, which all sets of lanes share."""
        self.standing: dict[Path, tuple[PlannedRun, _Latest]] = {}

    def first_plan(self) -> Plan | None:
        """The plan that the program is made from; runs without one are recorded as failed."""
        while self.supply.runs:
            try:
                config = self.supply.runs[0].frozen()
                plan = make_plan(config, data_dir=self.data_dir, chunk_steps=CHUNK_STEPS)
            except (UsageError, *FAILURES) as error:
                self._cannot_begin(self.supply.runs.pop(0), error)
                continue
            self.plans[str(options(config, "cell"))] = plan
            self.examiner = examiner_of(plan)
            return plan
        return None

    def recruit(self) -> tuple[RunSession, TrainState] | None:
        """The next run, begun or resumed."""
        while (run := self.supply.take()) is not None:
            journal, latest = None, _Latest()
            try:
                config = run.frozen()
                journal = RunSession(self._plan(config), RunLog(self.runs_dir / run.run), latest)
                self.standing[journal.files.path] = run, latest
                return journal, journal.begin(self.imported)
            except (UsageError, *FAILURES) as error:
                if journal is None:
                    self._cannot_begin(run, error)
                else:
                    self.report(journal.fail(first_line(error)), error)
        return None

    def _plan(self, config: FrozenConfigDict) -> Plan:
        name = str(options(config, "cell"))
        base = self.plans.get(name) or next(iter(self.plans.values()))
        lane = make_lane(base, config)
        self.plans.setdefault(name, lane)
        return lane

    def judge(self, journal: RunSession) -> str | None:
        """Why a run that was just validated is to be stopped; None: it goes on."""
        run, latest = self.standing[journal.files.path]
        value = latest.scores[journal.task.headline]
        return self.supply.judge(run, journal.step, value, last=journal.ended)

    def report(self, result: RunResult, error: BaseException | None) -> None:
        """A run has ended."""
        if result.status == "failed":
            log.warning("%s failed after step %d: %s", result.path, result.step, result.reason)
        elif result.status == "diverged":
            log.info("%s diverged: %s", result.path, result.reason)
        run, _ = self.standing.pop(result.path)
        self.supply.ended(run, result)

    def _cannot_begin(self, run: PlannedRun, error: BaseException) -> None:
        """Record why a run has not begun, unless another process is at work on it."""
        path, reason = self.runs_dir / run.run, first_line(error)
        try:
            step = record_failure(path, run, reason)
        except UsageError as locked:
            log.warning("%s is left to others: %s", path, locked)
            self.supply.occupied(run, first_line(locked))
            return
        log.warning("%s failed: %s", path, reason)
        self.supply.ended(run, RunResult(path, "failed", step, reason))
