"""The runs of a search that wait, program by program, and the programs they train in.

A lane that is free takes a run of its program that waits, or asks for a new trial. A trial
that needs another program waits for the turn of that one; nothing is asked for while as
many wait as may train at a time. The next turn is that of the program with the most runs.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from rnnexp.core.errors import RunError, first_line
from rnnexp.run.callbacks import RunResult
from rnnexp.sweep.plan import PlannedRun
from rnnexp.sweep.search.trials import Trials

log = logging.getLogger("rnnexp")


class Queue:
    """The runs of one program as a supply of lanes; see `rnnexp.sweep.lanes.Supply`."""

    def __init__(self, searcher: "Searcher", program: int):
        self.searcher, self.program = searcher, program
        self.runs = searcher.waiting.setdefault(program, [])

    def take(self) -> PlannedRun | None:
        """The next run that waits for this program, or a new trial's."""
        return self.searcher.take(self.program)

    def judge(self, run: PlannedRun, step: int, value: float, *, last: bool) -> str | None:
        """Why a run is to be pruned, or None."""
        return self.searcher.judge(run, step, value, last=last)

    def ended(self, run: PlannedRun, result: RunResult) -> None:
        """Tell the run's trial."""
        self.searcher.ended(run, result)

    def occupied(self, run: PlannedRun, reason: str) -> None:
        """A process that does not belong to the search trains this very run."""
        self.searcher.ended(run, RunResult(Path(run.run), "failed", 0, reason))


class Searcher:
    """Hands out the runs of a study's trials, and hears how they do.

    If the study's storage fails, what was asked for is kept in `lost`, and no more is handed
    out; the runs that train are to be interrupted then, for their trials to go on later.

    Args:
      most: how many runs may wait.
      told: the status of every run that ends.
    """

    def __init__(self, trials: Trials, *, most: int, told: Callable[[str], None]):
        self.trials, self.most, self.told = trials, most, told
        self.waiting: dict[int, list[PlannedRun]] = {}
        """By the number of their group in the plan."""
        self.spent = False
        self.lost: RunError | None = None

    def next_program(self) -> int | None:
        """The program whose turn it is; None: there is nothing left to do here."""
        self.spent = False  # another process may have died since
        while not any(self.waiting.values()):
            if not self._ask():
                return None
        return max(self.waiting, key=lambda program: len(self.waiting[program]))

    def take(self, program: int) -> PlannedRun | None:
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
        self.waiting.setdefault(run.group, []).append(run)
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

    def ended(self, run: PlannedRun, result: RunResult) -> None:
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
