"""Trains runs on the lanes of one program, from the first step of each to its end.

This is the host's loop. It gives every free lane a waiting run, launches a chunk of steps
for all lanes, writes what each lane reports, evaluates and checkpoints the runs that are
due, and finishes those that have ended. A run that diverged or failed leaves its lane to
the next run.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import jax

from rnnexp.core.errors import RunError, first_line
from rnnexp.run.callbacks import RunResult
from rnnexp.run.divergence.recorder import Recorder
from rnnexp.run.measure import Examiner, examiner_of
from rnnexp.run.schedule import next_boundary
from rnnexp.run.session import RunSession
from rnnexp.runtime import collectives
from rnnexp.runtime.mesh import on_host
from rnnexp.runtime.signals import StopRequest
from rnnexp.train.compiled import LaneStates, Programs, at_length
from rnnexp.train.program import TrainState

log = logging.getLogger("rnnexp")
VISIT_S = 2.0
"""How long a chunk may take, in seconds. The host acts between two chunks only; but each chunk
allocates its large buffers anew, page by page, so short chunks are slow."""
FAILURES = (OSError, RunError, jax.errors.JaxRuntimeError)
"""What ends a run, or all runs of a program, without being a fault of this code."""

NextRun = Callable[[], tuple[RunSession, TrainState] | None]
"""The next waiting run, begun, and the state that it continues from; None: none waits."""
ShouldPrune = Callable[[RunSession], str | None]
"""Asked after a validation: why the run is to be stopped now; None: it continues."""


class Launched(NamedTuple):
    """A chunk that the devices compute: when it began, and the steps of its longest lane."""

    began: float
    steps: int


def stop_reason(stop: StopRequest) -> str:
    """Why a run is interrupted: what asked to stop, and what to do."""
    return f"{stop.name}; the same command resumes"


def never_prune(session: RunSession) -> str | None:
    """The rule for runs that are no part of a search."""
    del session
    return None


class Trainer:
    """The runs on the lanes of one program.

    Args:
      next_run: gives the run for a free lane.
      on_run_end: receives the result of each run that ends, and the error if it failed.
      should_prune: see `ShouldPrune`.
      examiner: gives the program's laboratory, if several trainers use the same one.
    """

    def __init__(
        self,
        programs: Programs,
        next_run: NextRun,
        on_run_end: Callable[[RunResult, BaseException | None], None],
        *,
        should_prune: ShouldPrune = never_prune,
        examiner: Callable[[], Examiner] | None = None,
    ):
        self.lane_states = LaneStates(programs)
        self.recorder = Recorder(self.lane_states)
        self.chunk_steps = programs.plan.recipe.chunk_steps
        self.sessions: list[RunSession | None] = [None] * programs.layout.lanes
        self.next_run, self.on_run_end, self.should_prune = next_run, on_run_end, should_prune
        self.examiner = examiner or examiner_of(programs.plan)
        self.pace, self.visits = 1, 0

    def rounds(self, stop: StopRequest) -> Iterator[None]:
        """Train until no run waits or a stop is asked for; yields while the devices compute.

        Runs that are stopped are checkpointed and end as `interrupted`.
        """
        under_way: Launched | None = None
        try:
            while under_way or (self._continues(stop) and self._fill()):
                if under_way is None:
                    self._conclude()
                    under_way = self._launch() if self._active() else None
                if under_way is not None:
                    yield
                    under_way = self._collect(under_way, stop)
            self._conclude()
            self._interrupt(stop)
        except FAILURES as error:
            self._fail_all(error)
        except BaseException as error:
            for session in filter(None, self.sessions):
                session.fail(f"{type(error).__name__}: {error}")
            raise

    def _continues(self, stop: StopRequest) -> bool:
        """Whether no process of the run was asked to stop; all take the first one's pace."""
        stop.name, self.pace = collectives.agree(stop.name, self.pace)
        return stop.name is None

    def _active(self) -> list[tuple[int, RunSession]]:
        """The lanes that have a run, and their sessions."""
        return [
            (lane, session) for lane, session in enumerate(self.sessions) if session is not None
        ]

    def _fill(self) -> bool:
        """Give the free lanes waiting runs; whether any lane has a run now."""
        for lane, occupant in enumerate(self.sessions):
            if occupant is None and (begun := self.next_run()) is not None:
                session, state = begun
                self.sessions[lane] = session
                self.lane_states.put(lane, session.plan, state)
                self.recorder.enter(lane)
                if "measure" in session.due() and not bool(state.diverged):  # before its first step
                    with self._isolated(lane):
                        session.measure(self.examiner(), on_host(state.params))
        self._validate_first()
        return bool(self._active())

    def _validate_first(self) -> None:
        """Validate the runs that are to be validated before their first update."""
        flags = [session is not None and session.validates_first for session in self.sessions]
        if not any(flags):
            return
        scores, states = self.lane_states.scores("valid", flags), self.lane_states.states()
        for lane, session in self._active():
            if flags[lane] and not bool(states[lane].diverged):
                with self._isolated(lane):
                    session.evaluated(scores[lane], states[lane])

    def _launch(self) -> Launched:
        """Start a chunk."""
        stops, everys = [0] * len(self.sessions), [1] * len(self.sessions)
        began, longest = time.monotonic(), 1
        for lane, session in self._active():
            boundary = next_boundary(session.schedule, session.step)
            stops[lane] = min(boundary, session.step + self.pace)
            everys[lane] = session.schedule.record
            longest = max(longest, stops[lane] - session.step)
        self.recorder.keep({lane: session.step for lane, session in self._active()})
        self.lane_states.launch(stops, everys)
        return Launched(began, longest)

    def _collect(self, chunk: Launched, stop: StopRequest) -> Launched | None:
        """Write what the chunk reported, and do what is due.

        Where nothing is due, the next chunk is launched first, so that the devices do not wait
        for files. That chunk is returned.
        """
        records, now = self.lane_states.records(), self.lane_states.steps()
        diverged = self.lane_states.diverged()
        self._set_pace(*chunk)
        for lane, session in self._active():
            session.advance_to(now[lane])
        nothing_due = all(session is not None and not session.pauses for session in self.sessions)
        at_once = nothing_due and not any(diverged) and self._continues(stop)
        following = self._launch() if at_once else None
        for lane, session in self._active():
            with self._isolated(lane):
                session.write_records(records[lane])
        if following is None:
            self._do_due(diverged)
        return following

    def _do_due(self, diverged: Sequence[bool]) -> None:
        """Evaluate, measure and checkpoint the runs that are due and have not diverged."""
        sound = [(lane, session) for lane, session in self._active() if not diverged[lane]]
        due = {lane: session.due() for lane, session in sound}
        if not any(due.values()):
            return
        flags = ["evaluate" in due.get(lane, ()) for lane in range(len(self.sessions))]
        scores = self.lane_states.scores("valid", flags) if any(flags) else []
        states = self.lane_states.states()
        for lane, session in sound:
            with self._isolated(lane):
                if "measure" in due[lane]:
                    session.measure(self.examiner(), states[lane].params)
                if flags[lane]:
                    session.evaluated(scores[lane], states[lane])
                if "keep" in due[lane]:
                    session.keep(states[lane])
                if "checkpoint" in due[lane]:
                    session.save_last(states[lane])
                if flags[lane] and (reason := self.should_prune(session)) and not session.ended:
                    session.save_last(states[lane])
                    self._free(lane, session.finish("pruned", reason))

    def _set_pace(self, began: float, steps: int) -> None:
        """Choose how many steps take `VISIT_S`, from the last chunk's start and steps.

        The pace falls by half at most: while the host writes, a chunk seems longer than it is.
        """
        programs, now = self.lane_states.programs, time.monotonic()
        # a chunk that waited for another trainer's on the same devices began when they were free
        seconds_a_step = (now - max(began, programs.free_since)) / steps
        programs.free_since = now
        if self.visits > 0:  # the first chunk's time includes compilation
            self.pace = min(self.chunk_steps, max(1, self.pace // 2, int(VISIT_S / seconds_a_step)))
        self.visits += 1

    def _conclude(self) -> None:
        """Free the lanes of runs that diverged or ended."""
        active = self._active()
        self.lane_states.settle()
        diverged = self.lane_states.diverged() if active else []
        bad = [(lane, session) for lane, session in active if diverged[lane]]
        ended = [(lane, session) for lane, session in active if session.ended]
        if not ended and not bad:
            return
        states = self.lane_states.states()
        for lane, session in bad:
            with self._isolated(lane):
                recording = self.recorder.recording(lane, states[lane])
                self._free(lane, session.diverge(states[lane], recording))
        self._test([(lane, session) for lane, session in ended if not diverged[lane]], states)

    def _test(self, ended: list[tuple[int, RunSession]], states: list[TrainState]) -> None:
        """Test the best checkpoint of the runs that ended, at other lengths too."""
        tested = {}
        for lane, session in ended:
            with self._isolated(lane):
                session.save_last(states[lane])
                tested[lane] = session.tested_state(states[lane])
                self.lane_states.put(lane, session.plan, tested[lane][0])
        if not tested:
            return
        flags = [lane in tested for lane in range(len(self.sessions))]
        scores = self.lane_states.scores("test", flags)
        at_lengths = self._at_lengths(flags)
        for lane, session in ended:
            if lane in tested:
                with self._isolated(lane):
                    by_length = {n: rows[lane] for n, rows in at_lengths.items()}
                    self._free(lane, session.complete(scores[lane], tested[lane][1], by_length))

    def _at_lengths(self, flags: list[bool]) -> dict[int, list[dict[str, float]]]:
        """The test scores of every lane by length.

        A length of which a device cannot make the test, for want of memory, is left out: it is
        no reason to lose a run that has trained to its end.
        """
        found = {}
        for length in self.lane_states.programs.plan.length_tasks:
            try:
                found[length] = self.lane_states.scores(at_length(length), flags)
            except jax.errors.JaxRuntimeError as error:
                log.warning("no test at length %d: %s", length, first_line(error))
        return found

    def _interrupt(self, stop: StopRequest) -> None:
        """Checkpoint the runs that are still training, to be resumed another time."""
        if not (active := self._active()):
            return
        states = self.lane_states.states()
        for lane, session in active:
            with self._isolated(lane):
                session.save_last(states[lane])
                self._free(lane, session.finish("interrupted", stop_reason(stop)))

    def _free(self, lane: int, result: RunResult, error: BaseException | None = None) -> None:
        self.sessions[lane] = None
        self.on_run_end(result, error)

    @contextmanager
    def _isolated(self, lane: int) -> Iterator[None]:
        """A failure in the body ends the run of this lane and leaves the others alone."""
        try:
            yield
        except FAILURES as error:
            self._fail(lane, error)

    def _fail(self, lane: int, error: BaseException) -> None:
        """The run of a lane cannot continue, for a reason of its own such as its files."""
        if (session := self.sessions[lane]) is not None:
            self._free(lane, session.fail(first_line(error)), error)

    def _fail_all(self, error: BaseException) -> None:
        for lane, _ in self._active():
            self._fail(lane, error)
