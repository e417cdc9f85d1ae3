"""Searches a space: Optuna suggests settings, and their runs train on lanes.

A trial of the study is one run with one seed, in a directory like any other's. Several processes
may be given the same search at once: they share the study and its number of trials. The trials
of a process that was killed are resumed by the next one, from their checkpoints.

What a trial draws depends on the seed, its number, and the trials that ended before it. So one
process with one run at a time (`at_once=1`) repeats a search exactly. With several runs at a
time, the speed of the lanes decides which trial reports first.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from rnnexp.core.errors import RunError, first_line
from rnnexp.run.callbacks import RunResult
from rnnexp.runtime.signals import StopRequest
from rnnexp.sweep.directory import cancelled
from rnnexp.sweep.lanes import (
    LANE_SETS,
    RunPaths,
    RunQueue,
    RunSource,
    Validation,
    choose_layout,
    start_devices,
    train_queue,
)
from rnnexp.sweep.plan import PlannedRun
from rnnexp.sweep.search.growing_plan import GrowingPlan
from rnnexp.sweep.search.spec import SearchSettings, SearchSpec, import_optuna, make_spec
from rnnexp.sweep.search.study import (
    StudySummary,
    WorkerLock,
    close_storage,
    open_storage,
    open_study,
    summarise,
)
from rnnexp.sweep.search.trials import Trials
from rnnexp.sweep.space import Base, Space
from rnnexp.train.compiled import Programs

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

log = logging.getLogger("rnnexp")
SEQUENTIAL = 8
"""If later trials learn from earlier ones, at most one in so many trials trains at a time."""
KEPT = 4
"""How many compiled programs are kept for their next turn."""


@dataclass(frozen=True)
class StudyLocation:
    """Where a study is kept.

    Attributes:
      name: of the study in its storage.
      sweep_dir: holds the plan, and the files that the processes of the search share.
      storage: RDB URL; None: SQLite in `sweep_dir`, for the processes of one machine.
    """

    name: str
    sweep_dir: Path
    storage: str | None = None


def search(
    space: Space,
    base: Base,
    settings: SearchSettings,
    location: StudyLocation,
    paths: RunPaths,
    *,
    on_run_end: Callable[[str], None] = lambda status: None,
) -> StudySummary:
    """Train trials until the study has `settings.trials` of them; returns its summary.

    Args:
      on_run_end: called with the status of each run that ends in this process.

    Raises:
      UsageError: if the space cannot be searched, Optuna is not installed, the storage cannot be
        used, or the study belongs to another search.
      RunError: if the storage fails during the search; the same call resumes it.
    """
    import_optuna()
    start_devices(settings.at_once or settings.trials)
    spec = make_spec(space, base, settings, data_dir=paths.data_dir)
    at_once = settings.at_once or default_at_once(settings, len(jax.devices()))
    with open_trials(spec, location, paths) as trials:
        _log_start(location.name, trials, at_once)
        source = TrialSource(trials, most=at_once, on_run_end=on_run_end)
        stopped = train_trials(
            source,
            ProgramCache(source, paths, at_once=at_once, width=settings.width),
            should_stop=lambda: source.lost is not None or cancelled(location.sweep_dir),
        )
        if source.lost is not None:
            raise source.lost
        summary = summarise(location.name, trials.all(), spec.objective, stopped)
    if summary.best is not None and stopped is None:
        log.info(
            "%s is the best of %d trials with one seed each: confirm it with several seeds",
            summary.best.run, sum(summary.counts.values()),
        )  # fmt: skip
    return summary


def default_at_once(settings: SearchSettings, devices: int) -> int:
    """How many runs train at a time: few enough that later trials learn from earlier ones.

    All of them if nothing is learnt; else one in `SEQUENTIAL`, but at least one on each lane.
    """
    if not settings.learns:
        return settings.trials
    lanes = devices * (settings.width or 1)
    return min(settings.trials, max(lanes, settings.trials // SEQUENTIAL))


def _log_start(name: str, trials: Trials, at_once: int) -> None:
    settings = trials.spec.settings
    log.info(
        "search %s: %d of %d trials so far; sampler %s, pruner %s, at most %d runs at a time",
        name, len(trials.all()), settings.trials, settings.sampler, settings.pruner, at_once,
    )  # fmt: skip
    if (points := trials.spec.num_points) < settings.trials:
        log.info("there are only %d settings; repeated ones are not run again", points)


@contextmanager
def open_trials(spec: SearchSpec, location: StudyLocation, paths: RunPaths) -> Iterator[Trials]:
    """A context in which this process works on the trials of a study."""
    lock = WorkerLock(location.sweep_dir)
    storage: RDBStorage | None = None
    keep = True
    try:
        with lock.exclusive():
            storage = open_storage(location.storage, location.sweep_dir)
            study = open_study(
                storage, location.name, higher_is_better=spec.objective.higher_is_better,
                identity=spec.identity,
            )  # fmt: skip
            study.pruner = spec.pruner
            plan = GrowingPlan(
                location.sweep_dir, paths.runs_dir, paths.data_dir, search=location.name,
                sampler=spec.settings.sampler, pruner=spec.settings.pruner,
                trials=spec.settings.trials,
            )  # fmt: skip
        number = storage.get_study_id_from_name(location.name)
        trial_id = partial(storage.get_trial_id_from_study_id_trial_number, number)
        trials = Trials(study, lock, plan, spec, runs_dir=paths.runs_dir, trial_id=trial_id)
        yield trials
        keep = trials.has_running()
    finally:
        if storage is not None:
            close_storage(storage)
        lock.release(keep=keep)


class TrialSource:
    """The runs of a study's trials as a `RunSource` for each program.

    A free lane takes a run of its program that waits, or asks for a new trial. If that trial
    needs another program, its run waits for the turn of that program. No trial is asked for
    while as many runs wait as may train at a time.

    If the study's storage fails, `lost` keeps the error, and no further run is handed out. The
    caller must then interrupt the runs that train, so that their trials go on later.

    Args:
      most: how many runs may wait.
      on_run_end: called with the status of each run that ends.
    """

    def __init__(self, trials: Trials, *, most: int, on_run_end: Callable[[str], None]):
        self.trials, self.most, self.on_status = trials, most, on_run_end
        self.waiting: dict[int, list[PlannedRun]] = {}
        """The runs that wait, by the number of their group in the plan."""
        self.exhausted = False
        self.lost: RunError | None = None

    def of_program(self, program: int) -> RunSource:
        """The source of one program's runs."""
        return RunSource(
            self.waiting[program],
            next_run=partial(self.next_run, program),
            on_run_end=self.on_run_end,
            on_run_locked=self.on_run_locked,
            should_prune=self.should_prune,
        )

    def next_program(self) -> int | None:
        """The program with the most runs that wait; None if there is nothing left to train."""
        self.exhausted = False  # another process may have died since
        while not any(self.waiting.values()):
            if not self._ask():
                return None
        return max(self.waiting, key=lambda program: len(self.waiting[program]))

    def next_run(self, program: int) -> PlannedRun | None:
        """A run of that program, if one waits or a new trial brings one."""
        while not self.waiting[program]:
            if sum(map(len, self.waiting.values())) >= self.most or not self._ask():
                return None
        return self.waiting[program].pop(0)

    def _ask(self) -> bool:
        """Add the run of one more trial to those that wait; False if there is none."""
        if self.exhausted or self.lost is not None:
            return False
        try:
            run = self.trials.next_run()
        except RunError as error:
            self._lose(error)
            return False
        if run is None:
            self.exhausted = True
            return False
        self.waiting.setdefault(run.group, []).append(run)
        return True

    def should_prune(self, run: PlannedRun, validation: Validation) -> str | None:
        """Why a run that was just validated is to be pruned, or None."""
        if self.lost is not None:
            return None
        step, value, last = validation
        try:
            return self.trials.should_prune(run.run, step, value, last=last)
        except RunError as error:
            self._lose(error)
            return None

    def on_run_end(self, run: PlannedRun, result: RunResult) -> None:
        """Give a run's result to its trial."""
        self.on_status(result.status)
        if self.lost is not None:
            return  # the resumed search reads the result from the run's directory
        try:
            self.trials.on_run_end(run.run, result)
        except RunError as error:
            self._lose(error)

    def on_run_locked(self, run: PlannedRun, reason: str) -> None:
        """Fail the trial of a run that a process outside the search trains."""
        self.on_run_end(run, RunResult(Path(run.run), "failed", 0, reason))

    def _lose(self, error: RunError) -> None:
        log.error("%s", first_line(error))
        self.lost = error


class ProgramCache:
    """The compiled programs of a search, at most the `KEPT` latest, each with its queue of runs."""

    def __init__(self, source: TrialSource, paths: RunPaths, *, at_once: int, width: int | None):
        self.source, self.paths, self.at_once, self.width = source, paths, at_once, width
        self.entries: OrderedDict[int, tuple[Programs, RunQueue]] = OrderedDict()

    def get(self, program: int) -> tuple[Programs, RunQueue] | None:
        """A program and its queue; None if none of the runs that wait for it can start."""
        if program not in self.entries:
            queue = RunQueue(self.source.of_program(program), self.paths)
            if (plan := queue.first_plan()) is None:
                return None
            devices = min(len(jax.devices()), self.at_once)
            layout = choose_layout(plan, self.at_once // devices * devices, self.width)
            while len(self.entries) >= KEPT:
                self.entries.popitem(last=False)
            self.entries[program] = Programs(plan, layout), queue
        self.entries.move_to_end(program)
        return self.entries[program]


def train_trials(
    source: TrialSource, cache: ProgramCache, *, should_stop: Callable[[], bool]
) -> str | None:
    """Train program after program until no run is left; what stopped it earlier, or None."""
    with StopRequest() as stop:
        if should_stop():
            return "cancelled"
        while stop.name is None and (program := source.next_program()) is not None:
            if (entry := cache.get(program)) is None:
                continue
            programs, queue = entry
            sets = LANE_SETS if cache.at_once >= LANE_SETS * programs.layout.lanes else 1
            log.info("lanes on %s", programs.layout)
            train_queue(programs, queue, stop, should_stop, lane_sets=sets)
        return stop.name
