"""The runs of a search that wait, program by program, and the programs they train in.

A lane that is free takes a run of its program that waits, or asks for a new trial. A trial
that needs another program waits for the turn of that one; nothing is asked for while as
many wait as may train at a time. The next turn is that of the program with the most runs.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path

from ml_collections import FrozenConfigDict

from rnnexp.crew import FAILURES
from rnnexp.errors import RunError, UsageError, first_line
from rnnexp.outcome import Result
from rnnexp.sweep.groups import SIZES, program_digest, signature
from rnnexp.sweep.plan import PlannedRun
from rnnexp.sweep.search_trials import Trials

log = logging.getLogger("rnnexp")


class ProgramNames:
    """Which configurations share a program, found out as they come.

    As `rnnexp.sweep.groups.group_runs` does, texts of programs are compared only where
    configurations differ in nothing but options of their cell.
    """

    def __init__(self, data_dir: Path | None):
        self.data_dir = data_dir
        self.names: dict[str, str] = {}
        self.first: dict[str, FrozenConfigDict] = {}
        """Of every family the configuration that came first, until a second one comes."""
        self.digests: dict[tuple[str, str], str] = {}

    def of(self, config: FrozenConfigDict) -> str:
        """The name of a configuration's program."""
        name = signature(config)
        if name not in self.names:
            self.names[name] = self._find(name, config)
        return self.names[name]

    def _find(self, name: str, config: FrozenConfigDict) -> str:
        family = family_of(name)
        if family not in self.first:
            self.first[family] = config
            return name
        try:
            first = self.first[family]
            if not any(known == family for known, _ in self.digests):
                digest = program_digest(first, self.data_dir)
                self.digests[family, digest] = signature(first)
            digest = program_digest(config, self.data_dir)
        except (UsageError, *FAILURES):
            return name  # what is wrong with it is recorded when it is to begin
        return self.digests.setdefault((family, digest), name)


def family_of(name: str) -> str:
    """What configurations have in common whose programs may be the same, of a signature."""
    values = json.loads(name)
    kept = {k: v for k, v in values.items() if not k.startswith("cell.") or k in SIZES}
    return json.dumps(kept, sort_keys=True)


class Queue:
    """The runs of one program as a supply of lanes; see `rnnexp.sweep.lanes.Supply`."""

    def __init__(self, searcher: "Searcher", program: str):
        self.searcher, self.program = searcher, program
        self.runs = searcher.waiting.setdefault(program, [])

    def take(self) -> PlannedRun | None:
        """The next run that waits for this program, or a new trial's."""
        return self.searcher.take(self.program)

    def judge(self, run: PlannedRun, step: int, value: float, *, last: bool) -> str | None:
        """Why a run is to be pruned, or None."""
        return self.searcher.judge(run, step, value, last=last)

    def ended(self, run: PlannedRun, result: Result) -> None:
        """Tell the run's trial."""
        self.searcher.ended(run, result)

    def occupied(self, run: PlannedRun, reason: str) -> None:
        """A process that does not belong to the search trains this very run."""
        self.searcher.ended(run, Result(Path(run.run), "failed", 0, reason))


class Searcher:
    """Hands out the runs of a study's trials, and hears how they do.

    If the study's storage fails, what was asked for is kept in `lost`, and no more is handed
    out; the runs that train are to be interrupted then, for their trials to go on later.

    Args:
      most: how many runs may wait.
      told: the status of every run that ends.
    """

    def __init__(
        self, trials: Trials, names: ProgramNames, *, most: int, told: Callable[[str], None]
    ):
        self.trials, self.names, self.most, self.told = trials, names, most, told
        self.waiting: dict[str, list[PlannedRun]] = {}
        self.spent = False
        self.lost: RunError | None = None

    def next_program(self) -> str | None:
        """The program whose turn it is; None: there is nothing left to do here."""
        self.spent = False  # another process may have died since
        while not any(self.waiting.values()):
            if not self._ask():
                return None
        return max(self.waiting, key=lambda program: len(self.waiting[program]))

    def take(self, program: str) -> PlannedRun | None:
        """A run of that program, if one waits or a new trial brings one."""
        while not self.waiting[program]:
            if sum(map(len, self.waiting.values())) >= self.most or not self._ask():
                return None
        return self.waiting[program].pop(0)

    def _ask(self) -> bool:
        """Let the run of one more trial wait; False if there is none."""
        if self.spent or self.lost is not None:
            return False
        try:
            run = self.trials.next()
        except RunError as error:
            self._lose(error)
            return False
        if run is None:
            self.spent = True
            return False
        program = self.names.of(FrozenConfigDict(run.config))
        self.waiting.setdefault(program, []).append(run)
        return True

    def judge(self, run: PlannedRun, step: int, value: float, *, last: bool) -> str | None:
        """Why a run that was just validated is to be pruned, or None."""
        if self.lost is not None:
            return None
        try:
            return self.trials.judge(run.run, step, value, last=last)
        except RunError as error:
            self._lose(error)
            return None

    def ended(self, run: PlannedRun, result: Result) -> None:
        """Tell the run's trial how it ended."""
        self.told(result.status)
        if self.lost is not None:
            return  # it is told from the run's directory when the search is resumed
        try:
            self.trials.ended(run.run, result)
        except RunError as error:
            self._lose(error)

    def _lose(self, error: RunError) -> None:
        log.error("%s", first_line(error))
        self.lost = error
