"""Runs on the lanes of one program, from the first step of each to its end.

The host's loop: it gives every free slot a run that waits, launches a chunk for all of
them, writes down what each lane reports, evaluates and checkpoints those that are due, and
concludes those that ended. A run that diverged or failed leaves its slot to the next.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import jax

from rnnexp.core.errors import RunError, first_line
from rnnexp.run.callbacks import Result
from rnnexp.run.divergence.recorder import Recorder
from rnnexp.run.measure import Examiner, examiner_of
from rnnexp.run.session import Journal
from rnnexp.runtime import collectives
from rnnexp.runtime.mesh import on_host
from rnnexp.runtime.signals import StopRequest
from rnnexp.train.compiled import Programs, Slots
from rnnexp.train.program import TrainState

VISIT_S = 2.0  # how long a chunk may take: each makes its large buffers anew, page by page
FAILURES = (OSError, RunError, jax.errors.JaxRuntimeError)
"""What ends a run, or all runs of a program, without being a fault of this code."""

Recruit = Callable[[], tuple[Journal, TrainState] | None]
"""The next run that waits, begun, and the state to go on from; None: nobody waits."""
Judge = Callable[[Journal], str | None]
"""Asked after a validation: why the run is to be stopped now; None: it goes on."""


class Launched(NamedTuple):
    """A chunk that the devices are at work on: when it began, and the steps of its longest lane."""

    began: float
    steps: int


def nobody_stops(journal: Journal) -> str | None:
    """The judge of runs that are no part of a search."""
    del journal
    return None


class Crew:
    """The runs that stand in one set of slots.

    Args:
      report: told the result of each run that ends, and the error if it failed.
      examiner: gives the laboratory of the program, if it is to be shared with others.
    """

    def __init__(
        self,
        programs: Programs,
        recruit: Recruit,
        report: Callable[[Result, BaseException | None], None],
        *,
        judge: Judge = nobody_stops,
        examiner: Callable[[], Examiner] | None = None,
    ):
        self.slots = Slots(programs)
        self.recorder = Recorder(self.slots)
        self.chunk_steps = programs.plan.recipe.chunk_steps
        self.lanes: list[Journal | None] = [None] * programs.layout.lanes
        self.recruit, self.report, self.judge = recruit, report, judge
        self.examiner = examiner or examiner_of(programs.plan)
        self.pace, self.visits = 1, 0

    def rounds(self, stop: StopRequest) -> Iterator[None]:
        """Work until nobody waits, or a stop is asked for; yields while the devices compute.

        Stopped runs are checkpointed and end as `interrupted`.
        """
        under_way: Launched | None = None
        try:
            while under_way or (self._goes_on(stop) and self._fill()):
                if under_way is None:
                    self._conclude()
                    under_way = self._launch() if self._standing() else None
                if under_way is not None:
                    yield
                    under_way = self._collect(under_way, stop)
            self._conclude()
            self._interrupt(stop)
        except FAILURES as error:
            self._lose_all(error)
        except BaseException as error:
            for journal in filter(None, self.lanes):
                journal.fail(f"{type(error).__name__}: {error}")
            raise

    def _goes_on(self, stop: StopRequest) -> bool:
        """Whether no process of the run was asked to stop; all take the first one's pace."""
        stop.name, self.pace = collectives.agree(stop.name, self.pace)
        return stop.name is None

    def _standing(self) -> list[tuple[int, Journal]]:
        return [(slot, lane) for slot, lane in enumerate(self.lanes) if lane is not None]

    def _fill(self) -> bool:
        """Put waiting runs into free slots; whether anybody stands in one."""
        for slot, lane in enumerate(self.lanes):
            if lane is None and (recruit := self.recruit()) is not None:
                journal, state = recruit
                self.lanes[slot] = journal
                self.slots.put(slot, journal.plan, state)
                self.recorder.enter(slot)
                if journal.laboratory_due and not bool(state.diverged):  # before the first step
                    with self._losing(slot):
                        journal.measure(self.examiner(), on_host(state.params))
        return bool(self._standing())

    def _launch(self) -> Launched:
        """Start a chunk."""
        stops, everys = [0] * len(self.lanes), [1] * len(self.lanes)
        began, longest = time.monotonic(), 1
        for slot, lane in self._standing():
            stops[slot] = min(lane.next_boundary(), lane.step + self.pace)
            everys[slot] = lane.plan.record_steps
            longest = max(longest, stops[slot] - lane.step)
        self.recorder.keep({slot: lane.step for slot, lane in self._standing()})
        self.slots.launch(stops, everys)
        return Launched(began, longest)

    def _collect(self, chunk: Launched, stop: StopRequest) -> Launched | None:
        """Write down what the chunk brought, and see to what is due.

        Where nothing is due, the next chunk is launched first: the devices need not wait for
        files. That one is returned.
        """
        records, now = self.slots.records(), self.slots.steps()
        diverged = self.slots.diverged()
        self._set_pace(*chunk)
        for slot, lane in self._standing():
            lane.moved(now[slot])
        nothing_due = all(lane is not None and not lane.pauses for lane in self.lanes)
        at_once = nothing_due and not any(diverged) and self._goes_on(stop)
        following = self._launch() if at_once else None
        for slot, lane in self._standing():
            with self._losing(slot):
                lane.report(records[slot])
        if following is None:
            self._see_to(diverged)
        return following

    def _see_to(self, diverged: Sequence[bool]) -> None:
        """Evaluate, measure and checkpoint those that are due."""
        sound = [(slot, lane) for slot, lane in self._standing() if not diverged[slot]]
        due = {slot: lane.evaluation_due for slot, lane in sound}
        saves = {slot for slot, lane in sound if lane.checkpoint_due}
        keeps = {slot for slot, lane in sound if lane.keeping_due}
        measures = {slot for slot, lane in sound if lane.laboratory_due}
        if not any(due.values()) and not saves | keeps | measures:
            return
        flags = [due.get(slot, False) for slot in range(len(self.lanes))]
        scores = self.slots.scores("valid", flags) if any(flags) else []
        states = self.slots.states()
        for slot, lane in sound:
            with self._losing(slot):
                if slot in measures:
                    lane.measure(self.examiner(), states[slot].params)
                if flags[slot]:
                    lane.evaluated(scores[slot], states[slot])
                if slot in keeps:
                    lane.keep(states[slot])
                if slot in saves:
                    lane.save_last(states[slot])
                if flags[slot] and (reason := self.judge(lane)) and not lane.ended:
                    lane.save_last(states[slot])
                    self._free(slot, lane.finish("pruned", reason))

    def _set_pace(self, began: float, steps: int) -> None:
        """So many steps that a chunk takes `VISIT_S`, from the last chunk's steps and start.

        At least half as many as before: while the host writes, a chunk looks longer than it is.
        """
        programs, now = self.slots.programs, time.monotonic()
        # a chunk that waited for another crew's on the same devices began when they were free
        seconds_a_step = (now - max(began, programs.free_since)) / steps
        programs.free_since = now
        if self.visits > 0:  # the first visit compiled
            self.pace = min(self.chunk_steps, max(1, self.pace // 2, int(VISIT_S / seconds_a_step)))
        self.visits += 1

    def _conclude(self) -> None:
        """Free the slots of runs that diverged or are through."""
        standing = self._standing()
        ends = [(slot, lane) for slot, lane in standing if lane.ended]
        self.slots.settle()
        diverged = self.slots.diverged() if standing else []
        bad = [(slot, lane) for slot, lane in standing if diverged[slot]]
        if not ends and not bad:
            return
        states = self.slots.states()
        for slot, lane in bad:
            with self._losing(slot):
                self._free(
                    slot, lane.diverge(states[slot], self.recorder.flight(slot, states[slot]))
                )
        ends = [(slot, lane) for slot, lane in ends if not diverged[slot]]
        tested = {}
        for slot, lane in ends:
            with self._losing(slot):
                lane.save_last(states[slot])
                tested[slot] = lane.tested_state(states[slot])
                self.slots.put(slot, lane.plan, tested[slot][0])
        if not tested:
            return
        scores = self.slots.scores("test", [slot in tested for slot in range(len(self.lanes))])
        for slot, lane in ends:
            if slot in tested:
                with self._losing(slot):
                    self._free(slot, lane.complete(scores[slot], tested[slot][1]))

    def _interrupt(self, stop: StopRequest) -> None:
        """Checkpoint whoever still stands, to go on another time."""
        if not (standing := self._standing()):
            return
        states = self.slots.states()
        for slot, lane in standing:
            with self._losing(slot):
                lane.save_last(states[slot])
                reason = f"{stop.name}; the same command resumes"
                self._free(slot, lane.finish("interrupted", reason))

    def _free(self, slot: int, result: Result, error: BaseException | None = None) -> None:
        self.lanes[slot] = None
        self.report(result, error)

    @contextmanager
    def _losing(self, slot: int) -> Iterator[None]:
        """Here a failure ends the run of one slot and leaves the others alone."""
        try:
            yield
        except FAILURES as error:
            self._lose(slot, error)

    def _lose(self, slot: int, error: BaseException) -> None:
        """The run in a slot cannot go on, for a reason of its own, such as its files."""
        if (lane := self.lanes[slot]) is not None:
            self._free(slot, lane.fail(first_line(error)), error)

    def _lose_all(self, error: BaseException) -> None:
        for slot, _ in self._standing():
            self._lose(slot, error)
