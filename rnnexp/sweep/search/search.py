"""A search: Optuna proposes settings, their runs train on lanes, and it learns from them.

A trial of the study is one run with one seed, in a directory like any other's. Several
processes may be given the same search at once: they share the study, and its number of
trials. The trials of one that was killed are resumed by the next from their checkpoints.

What a trial draws depends on the seed, its number, and the trials that ended before it. So
one process with one run at a time (`at_once=1`) finds the same again; of lanes side by side
it depends on their speed which reports first.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.runtime.signals import StopRequest
from rnnexp.sweep.lanes import CREWS, Recruits, choose_layout, drive, start_devices
from rnnexp.sweep.plan import cancelled
from rnnexp.sweep.search.found import Found, summarise
from rnnexp.sweep.search.growing_plan import GrowingPlan
from rnnexp.sweep.search.outline import Outline, make_outline
from rnnexp.sweep.search.queue import Queue, Searcher
from rnnexp.sweep.search.space import PRUNERS, SAMPLERS, import_optuna
from rnnexp.sweep.search.study import Seat, close_storage, open_storage, open_study
from rnnexp.sweep.search.trials import Trials
from rnnexp.sweep.space import Base, Space
from rnnexp.train.compiled import Programs

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

log = logging.getLogger("rnnexp")
SHARE = 8
"""Where a search learns on the way, at most one in so many of its trials trains at a time."""
KEPT = 4
"""How many compiled programs are kept for when their turn comes again."""


def search(
    space: Space,
    base: Base,
    *,
    trials: int,
    name: str,
    runs_dir: Path,
    sweep_dir: Path,
    sampler: str = "tpe",
    pruner: str = "none",
    prune_after: int | None = None,
    storage: str | None = None,
    data_dir: Path | None = None,
    imported: Sequence[Path] = (),
    width: int | None = None,
    at_once: int | None = None,
    seed: int = 0,
    told: Callable[[str], None] = lambda status: None,
) -> Found:
    """Bring a study to so many trials, and say what it has found.

    Args:
      trials: how many the study is to have in all, repeated and failed ones included.
      name: of the study in its storage.
      sweep_dir: where the plan is, and what the processes of the search share.
      sampler, pruner, prune_after: see `make_sampler` and `make_pruner`.
      storage: RDB URL; None: SQLite in `sweep_dir`, for the processes of one machine.
      width: how many runs stand side by side on a device; None: what is measured to be best.
      at_once: how many runs train at a time in this process; None: as many as there are
        trials where nothing is learnt on the way, else one in `SHARE`, but one a device.
      seed: of the draws. The runs have the seed of the space or the base.
      told: the status of every run that ends here.

    Raises:
      UsageError: the space cannot be searched, Optuna is not installed, the storage cannot
        be used, or the study is that of another search.
      RunError: the storage failed on the way; the same call resumes.
    """
    require_choice("sampler", sampler, SAMPLERS)
    require_choice("pruner", pruner, PRUNERS)
    if at_once is not None and at_once < 1:
        raise UsageError(f"at least one run trains at once, not {at_once}")
    import_optuna()
    start_devices(at_once or trials)
    outline = make_outline(
        space, base, trials=trials, sampler=sampler, pruner=pruner, prune_after=prune_after,
        seed=seed, data_dir=data_dir,
    )  # fmt: skip
    at_once = at_once or default_at_once(outline, len(jax.devices()), width or 1)
    with _study(sweep_dir, storage, name, outline, runs_dir, data_dir) as asked:
        log.info(
            "search %s: %d of %d trials so far; sampler %s, pruner %s, at most %d runs at a time",
            name, len(asked.all()), trials, sampler, pruner, at_once,
        )  # fmt: skip
        if outline.settings < trials:
            log.info(
                "there are only %d settings; repeated ones are not run again", outline.settings
            )
        searcher = Searcher(asked, most=at_once, told=told)
        room = _Room(searcher, runs_dir, data_dir, imported, at_once, width)
        stopped = train(room, stopped=lambda: searcher.lost is not None or cancelled(sweep_dir))
        if searcher.lost is not None:
            raise searcher.lost
        found = summarise(name, asked.all(), outline.goal, stopped)
    if found.best is not None and stopped is None:
        log.info(
            "%s is the best of %d trials with one seed each: confirm it with several seeds",
            found.best.run, sum(found.counts.values()),
        )  # fmt: skip
    return found


def default_at_once(outline: Outline, devices: int, width: int) -> int:
    """How many runs train at a time: few enough that later ones can learn from earlier ones."""
    if not outline.learns:
        return outline.budget
    return min(outline.budget, max(devices * width, outline.budget // SHARE))


@contextmanager
def _study(
    sweep_dir: Path,
    storage: str | None,
    name: str,
    outline: Outline,
    runs_dir: Path,
    data_dir: Path | None,
) -> Iterator[Trials]:
    """The trials of the study, as long as this process takes part in it."""
    seat = Seat(sweep_dir)
    database: RDBStorage | None = None
    keep = True
    try:
        with seat.alone():
            database = open_storage(storage, sweep_dir)
            study = open_study(
                database, name, higher_is_better=outline.goal.higher_is_better,
                identity=outline.identity,
            )  # fmt: skip
            study.pruner = outline.pruner
            plan = GrowingPlan(
                sweep_dir, runs_dir, data_dir, search=name, sampler=outline.sampler_name,
                pruner=outline.pruner_name, trials=outline.budget,
            )  # fmt: skip
        number = database.get_study_id_from_name(name)
        trial_id = partial(database.get_trial_id_from_study_id_trial_number, number)
        asked = Trials(study, seat, plan, outline, runs_dir=runs_dir, trial_id=trial_id)
        yield asked
        keep = asked.has_running()
    finally:
        if database is not None:
            close_storage(database)
        seat.leave(keep=keep)


class _Room:
    """Where programs are trained: which are compiled, and the lanes of each."""

    def __init__(
        self,
        searcher: Searcher,
        runs_dir: Path,
        data_dir: Path | None,
        imported: Sequence[Path],
        at_once: int,
        width: int | None,
    ):
        self.searcher, self.at_once, self.width = searcher, at_once, width
        self.recruits = partial(Recruits, runs_dir=runs_dir, data_dir=data_dir, imported=imported)
        self.ready: OrderedDict[int, tuple[Programs, Recruits]] = OrderedDict()

    def enter(self, program: int) -> tuple[Programs, Recruits] | None:
        """A program and its recruits; None if none of the runs that wait for it can begin."""
        if program not in self.ready:
            recruits = self.recruits(Queue(self.searcher, program))
            if (plan := recruits.first_plan()) is None:
                return None
            devices = min(len(jax.devices()), self.at_once)
            layout = choose_layout(plan, self.at_once // devices * devices, self.width)
            while len(self.ready) >= KEPT:
                self.ready.popitem(last=False)
            self.ready[program] = Programs(plan, layout), recruits
        self.ready.move_to_end(program)
        return self.ready[program]


def train(room: _Room, *, stopped: Callable[[], bool]) -> str | None:
    """Train program after program until nothing is left; what stopped it before, or None."""
    with StopRequest() as stop:
        if stopped():
            return "cancelled"
        while stop.name is None and (program := room.searcher.next_program()) is not None:
            if (entered := room.enter(program)) is None:
                continue
            programs, recruits = entered
            crews = CREWS if room.at_once >= CREWS * programs.layout.lanes else 1
            log.info("lanes on %s", programs.layout)
            drive(programs, recruits, stop, stopped, crews=crews)
        return stop.name
