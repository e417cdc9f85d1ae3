"""How far the groups of a sweep are, from the files that their runs write on any machine.

A run that trains appends to `metrics.jsonl` and replaces `status.json`; nothing else is read, and
no lock is taken. So a sweep is followed in the same way on each executor.
"""

import statistics
import time
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from rnnexp.config.schema import duration_steps
from rnnexp.core.errors import UsageError
from rnnexp.run.files import last_line, read_status
from rnnexp.run.task_facts import read_task
from rnnexp.sweep.directory import runs_dir_of
from rnnexp.sweep.plan import SETTLED, PlannedRun, by_group, read_plan


class RunState(NamedTuple):
    """How far one run is: its status, the finished part of its steps, its latest training loss.

    `waiting` if it has not begun. A run that has ended is finished, however few steps it made.
    """

    status: str
    made: float
    loss: float | None = None


class GroupState(NamedTuple):
    """How far a group is.

    Attributes:
      runs: how many it has.
      counts: its runs by status.
      made: the sum of the finished parts of its runs, from 0 to `runs`.
      loss: the median of the latest training losses of the runs that train; None without any.
    """

    runs: int
    counts: Mapping[str, int]
    made: float
    loss: float | None = None

    @property
    def ended(self) -> int:
        """The runs that are settled."""
        return sum(self.counts.get(status, 0) for status in SETTLED)


class Follower:
    """Reads a sweep's files now and then.

    Attributes:
      groups: the latest state of each group, by its number.
      plan: the runs of each group.
    """

    def __init__(self, sweep_dir: Path):
        self.runs_dir = runs_dir_of(sweep_dir)
        self.plan = by_group(read_plan(sweep_dir))
        self.settled: dict[str, RunState] = {}
        self.totals: dict[str, int] = {}
        self.groups: dict[int, GroupState] = {}
        self.begun: dict[int, tuple[float, float]] = {}
        """By group when its runs last had made no step yet in this process, and how far it was."""
        self.seconds_a_run: dict[int, float] = {}
        self.look(self.plan)

    def look(self, groups: Collection[int]) -> None:
        """Read the files of these groups."""
        now = time.monotonic()
        self.groups = self.groups | {group: self._group(group) for group in groups}
        for group in groups:
            made = self.groups[group].made
            since, before = self.begun.get(group, (now, made))
            if made <= before:
                self.begun[group] = now, made
            else:
                self.seconds_a_run[group] = (now - since) / (made - before)

    def _group(self, group: int) -> GroupState:
        states = [self._run(run) for run in self.plan[group]]
        losses = [s.loss for s in states if s.status == "running" and s.loss is not None]
        return GroupState(
            len(states),
            Counter(state.status for state in states),
            sum(state.made for state in states),
            statistics.median(losses) if losses else None,
        )

    def _run(self, run: PlannedRun) -> RunState:
        if run.run in self.settled:
            return self.settled[run.run]
        path = self.runs_dir / run.run
        try:
            status = read_status(path)
        except UsageError:
            return RunState("damaged", 0.0)
        if status is None:
            return RunState("waiting", 0.0)
        if status["status"] in SETTLED:
            self.settled[run.run] = RunState(status["status"], 1.0)
            return self.settled[run.run]
        row = last_line(path, "train") or {}
        made = max(int(status["step"]), int(row.get("step", -1)) + 1)
        loss = row.get("loss")
        part = min(1.0, made / total) if (total := self._total(run, path)) else 0.0
        return RunState(status["status"], part, None if loss is None else float(loss))

    def _total(self, run: PlannedRun, path: Path) -> int | None:
        """The steps of a whole run, known once it has begun; None if it cannot be told."""
        if run.run not in self.totals:
            try:
                self.totals[run.run] = _total_steps(run, path)
            except UsageError:
                return None
        return self.totals[run.run]

    def seconds_left(self, group: int) -> float | None:
        """Seconds until a group that trains has ended; None before its pace is known."""
        if (pace := self.seconds_a_run.get(group)) is None:
            return None
        state = self.groups[group]
        return pace * (state.runs - state.made)

    def all_seconds_left(self, running: Collection[int]) -> float | None:
        """Seconds until the sweep has ended, if as many groups go on running at a time.

        Groups whose pace is unknown are taken to have the mean one. None if none is known.
        """
        if not self.seconds_a_run:
            return None
        mean = statistics.fmean(self.seconds_a_run.values())
        left = {
            group: self.seconds_a_run.get(group, mean) * (state.runs - state.made)
            for group, state in self.groups.items()
            if state.ended < state.runs
        }
        longest = max((left.get(group, 0.0) for group in running), default=0.0)
        return max(longest, sum(left.values()) / max(1, len(running)))


def _total_steps(run: PlannedRun, path: Path) -> int:
    """The steps of a whole run; `UsageError` if its task, which has the epochs, is unknown yet."""
    from rnnexp.tasks.batches import epoch_length  # imports JAX

    config = run.frozen()
    batch_size = int(config.train.batch_size)
    task = read_task(path)
    epoch = None if task is None else epoch_length(task.train, batch_size)
    return duration_steps(config, "train.duration", batch_size=batch_size, epoch_steps=epoch)
