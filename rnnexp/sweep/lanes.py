"""Many runs on the lanes of one program, in this process."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from ml_collections import FrozenConfigDict

from rnnexp.config import options
from rnnexp.crew import FAILURES, Crew
from rnnexp.errors import UsageError, first_line
from rnnexp.journal import Journal
from rnnexp.outcome import Observer, Result, read_result
from rnnexp.programs import Programs
from rnnexp.recipe import TrainState
from rnnexp.registry import Plan, make_lane, make_plan
from rnnexp.runlog import RunLog
from rnnexp.runner import CHUNK_STEPS
from rnnexp.signals import StopRequest
from rnnexp.spread import Layout
from rnnexp.sweep.measure import choose_width
from rnnexp.sweep.plan import PlannedRun

log = logging.getLogger("rnnexp")
CREWS = 2
"""Sets of lanes in turn: while the devices work for one, the host writes for the other."""


def train_lanes(
    runs: Sequence[PlannedRun],
    *,
    runs_dir: Path,
    data_dir: Path | None,
    imported: Sequence[Path] = (),
    width: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
    told: Callable[[str], None] = lambda status: None,
) -> None:
    """Train runs of one group to their ends; each leaves its directory as a solo run does.

    Args:
      width: how many runs stand side by side on a device; None: what is measured to be best.
      stopped: asked between chunks whether to checkpoint and stop.
      told: the status of every run that ends.
    """
    _start_devices(len(runs))
    waiting = _Waiting(runs, runs_dir, data_dir, imported, told)
    if (plan := waiting.first_plan()) is None:
        return
    devices = min(len(jax.devices()), len(runs))
    best = width or choose_width(plan, devices=devices, runs=len(runs))
    layout = Layout(devices, min(best, -(-len(runs) // devices)))
    programs = Programs(plan, layout)
    with StopRequest() as stop:
        while waiting.runs and stop.name is None:
            drive(programs, waiting, stop, stopped)
    log.info("lanes on %s; compilations of the training program: %d", layout, programs.compilations)


def drive(
    programs: Programs, waiting: "_Waiting", stop: StopRequest, stopped: Callable[[], bool]
) -> None:
    """Crews in turn until all runs have ended, or lost their devices, or a stop is asked for."""
    count = CREWS if len(waiting.runs) > programs.layout.lanes else 1
    crews = [Crew(programs, waiting.recruit, waiting.report).rounds(stop) for _ in range(count)]
    while crews:
        for crew in list(crews):
            if next(crew, "ended") == "ended":
                crews.remove(crew)
            if stop.name is None and stopped():
                stop.name = "cancelled"


def _start_devices(runs: int) -> None:
    """On a CPU, one XLA device a core, as far as there are runs; nothing if JAX has begun."""
    cores = len(os.sched_getaffinity(0))
    try:
        jax.config.update("jax_num_cpu_devices", min(cores, runs))
    except RuntimeError:
        log.info("JAX has begun already: lanes stand on its %d device(s)", len(jax.devices()))


class _Waiting:
    """The runs that wait, and the plans that they are made from."""

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        runs_dir: Path,
        data_dir: Path | None,
        imported: Sequence[Path],
        told: Callable[[str], None],
    ):
        self.runs = list(runs)
        self.runs_dir, self.data_dir, self.imported = runs_dir, data_dir, imported
        self.told = told
        self.plans: dict[str, Plan] = {}
        """One for every set of options of the cell: it has the function that draws weights."""

    def first_plan(self) -> Plan | None:
        """The plan that the program is made from; runs without one are recorded as failed."""
        while self.runs:
            try:
                config = self.runs[0].frozen()
                plan = make_plan(config, data_dir=self.data_dir, chunk_steps=CHUNK_STEPS)
            except (UsageError, *FAILURES) as error:
                self._cannot_begin(self.runs.pop(0), error)
                continue
            self.plans[str(options(config, "cell"))] = plan
            return plan
        return None

    def recruit(self) -> tuple[Journal, TrainState] | None:
        """The next run, begun or resumed."""
        while self.runs:
            run = self.runs.pop(0)
            journal = None
            try:
                config = run.frozen()
                journal = Journal(self._plan(config), RunLog(self.runs_dir / run.run), Observer())
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

    def report(self, result: Result, error: BaseException | None) -> None:
        """A run has ended."""
        if result.status == "failed":
            log.warning("%s failed after step %d: %s", result.path, result.step, result.reason)
        elif result.status == "diverged":
            log.info("%s diverged: %s", result.path, result.reason)
        self.told(result.status)

    def _cannot_begin(self, run: PlannedRun, error: BaseException) -> None:
        """Record why a run has not begun, unless another process is at work on it."""
        path, reason = self.runs_dir / run.run, first_line(error)
        try:
            files = RunLog(path)
        except UsageError as locked:
            log.warning("%s is left to others: %s", path, locked)
            return
        files.write_json("config.json", run.config)
        before = read_result(path)
        files.set_status("failed", before.step if before else 0, reason)
        files.close()
        log.warning("%s failed: %s", path, reason)
        self.told("failed")
