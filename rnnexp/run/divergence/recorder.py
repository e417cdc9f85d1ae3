"""Keeps states from which the last steps of a run can be computed again, and computes them.

A training step is a function of the state alone, so the steps need not be copied one by one.
Before a chunk, the recorder copies the state of all lanes on the devices if, for any lane, the
newest copy is `WINDOW_STEPS` steps old. It keeps the copies that reach back far enough from
any step at which a lane may fail: two, or a few more while the lanes are out of step. With
Adam a state is three times the parameters, so the copies take six times the parameters.

When a lane has failed, the run's own compiled program computes from the copy to the beginning
of the window, and then step by step, while the other lanes pause. Each step is taken twice: as
the run took it, for the next state, and with recording on, for its figures.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from rnnexp.core.errors import RunError, first_line
from rnnexp.core.tree import tree_bytes
from rnnexp.gradflow.growth import find_growth
from rnnexp.run.divergence.forward import ForwardPass
from rnnexp.run.divergence.gates import GateFractions, gate_of
from rnnexp.run.divergence.window import WINDOW_STEPS, Recording, Window, gather, same_bits
from rnnexp.run.schedule import epoch_end, is_recorded, schedule_of
from rnnexp.train.compiled import LaneStates
from rnnexp.train.program import TrainState
from rnnexp.train.step_metrics import Records

log = logging.getLogger("rnnexp")
LARGE = 1 << 28
"""If a copy takes this many bytes (256 MiB) or more, a line says so."""
FAILURES = (OSError, RunError, jax.errors.JaxRuntimeError)


class KeptState(NamedTuple):
    """A copy of all lanes' states.

    Attributes:
      steps: by lane that had a run, the updates that run had made.
      runs: by lane, the number of its run; see `Recorder.enter`.
      state: the copy, on the devices.
    """

    steps: dict[int, int]
    runs: list[int]
    state: Any


class Recorder:
    """The flight recorder of the runs on one set of lanes."""

    def __init__(self, lane_states: LaneStates):
        self.lane_states = lane_states
        self._runs = [0] * lane_states.programs.layout.lanes
        self._kept: list[KeptState] = []
        self._works = True
        self._gates = GateFractions(lane_states.programs.plan.recipe)
        self._forward = ForwardPass(lane_states.programs.plan.recipe)

    def enter(self, lane: int) -> None:
        """Another run takes a lane: the copies so far are not of this run."""
        self._runs[lane] += 1

    def keep(self, steps: Mapping[int, int]) -> None:
        """Copy the state if the newest copy is too old. Call it before a chunk.

        Args:
          steps: by lane that has a run, the updates that run has made.
        """
        if not self._works:
            return
        if any(self._age(lane, step) >= WINDOW_STEPS for lane, step in steps.items()):
            try:
                copy = self.lane_states.copied()
            except jax.errors.JaxRuntimeError as error:
                self._give_up(error)
                return
            self._kept.append(KeptState(dict(steps), list(self._runs), copy))
            self._log_size()
        needed = [self._number(lane, step) for lane, step in steps.items()]
        del self._kept[: min((n for n in needed if n is not None), default=0)]

    def _give_up(self, error: BaseException) -> None:
        self._works, self._kept = False, []
        log.warning(
            "no memory for the flight recorder's copy of the state (%s): a divergence from now "
            "on is recorded by its last step alone",
            first_line(error),
        )

    def _log_size(self) -> None:
        size = tree_bytes(self._kept[-1].state)
        if len(self._kept) == 1 and size >= LARGE:
            log.info(
                "the flight recorder keeps two copies of the training state, %.2f GiB, on the "
                "devices",
                2 * size / 2**30,
            )

    def _own(self, lane: int) -> list[int]:
        """The numbers of the copies of a lane's present run, oldest first."""
        return [
            number
            for number, kept in enumerate(self._kept)
            if lane in kept.steps and kept.runs[lane] == self._runs[lane]
        ]

    def _age(self, lane: int, step: int) -> int:
        """Steps since the newest copy of a lane's run; `WINDOW_STEPS` if there is none."""
        own = self._own(lane)
        return step - self._kept[own[-1]].steps[lane] if own else WINDOW_STEPS

    def _number(self, lane: int, step: int) -> int | None:
        """The newest copy that reaches back far enough from `step`, or the run's oldest."""
        own = self._own(lane)
        far = [n for n in own if self._kept[n].steps[lane] <= step - WINDOW_STEPS]
        return far[-1] if far else (own[0] if own else None)

    def recording(self, lane: int, failed: TrainState) -> Recording:
        """The last steps of the run in a lane, whose state at the divergence is `failed`.

        The lane's state is overwritten. If the steps cannot be computed again, a warning says
        so, and the window has the failed step alone.
        """
        try:
            window = self._window(lane, failed)
        except FAILURES as error:
            log.warning("the steps before the divergence are lost: %s", first_line(error))
            window = self._last_step(lane, failed)
        return self._explained(lane, window)

    def _last_step(self, lane: int, failed: TrainState) -> Window:
        """The window of the failed step alone, from the run's own state."""
        self.lane_states.put(lane, self.lane_states.plan_of(lane), failed)
        step = int(failed.step)
        return gather([(step, failed, self.lane_states.replay(lane))], origin=step, exact=True)

    def _window(self, lane: int, failed: TrainState) -> Window:
        number = self._number(lane, int(failed.step))
        if number is None:  # the run had failed before it was resumed, or nothing could be kept
            return self._last_step(lane, failed)
        kept = self._kept[number]
        last, origin = int(failed.step), kept.steps[lane]
        plan = self.lane_states.plan_of(lane)
        self.lane_states.put(lane, plan, self.lane_states.lane(kept.state, lane))
        rows = []
        if self._advance(lane, origin, first := max(origin, last - WINDOW_STEPS)):
            rows = [row for step in range(first, last + 1) if (row := self._step(lane, step))]
        again = self.lane_states.lane(self.lane_states.state, lane)
        if len(rows) == last - first + 1 and same_bits(again, failed):
            return gather(rows, origin=origin, exact=True)
        log.warning(
            "steps %d to %d, computed again from step %d, did not lead to the run's own state "
            "at the divergence: what is written of them may differ from what happened",
            first, last, origin,
        )  # fmt: skip
        own = self._last_step(lane, failed)
        rows = [row for row in rows if row[0] < last]
        return gather([*rows, (last, failed, own.failed)], origin=origin, exact=False)

    def _advance(self, lane: int, here: int, to: int) -> bool:
        """Take the steps from `here` to `to` as the run did; whether they could be taken."""
        plan = self.lane_states.plan_of(lane)
        schedule = schedule_of(plan)
        while here < to:
            stop = min(to, here + plan.recipe.chunk_steps, epoch_end(schedule, here))
            self.lane_states.alone(lane, stop, schedule.record)
            if self.lane_states.steps()[lane] != stop:
                return False
            here = stop
        return True

    def _step(self, lane: int, step: int) -> tuple[int, TrainState, Records] | None:
        """Take a step as the run did, and record it; None if the lane is not at that step."""
        schedule = schedule_of(self.lane_states.plan_of(lane))
        before = self.lane_states.copied()
        state = self.lane_states.lane(before, lane)
        if int(state.step) != step or bool(state.diverged):
            return None
        records = self.lane_states.alone(lane, step + 1, 1)
        if not is_recorded(schedule, step):
            self.lane_states.state = before
            self.lane_states.alone(lane, step + 1, schedule.record)
        return step, state, jax.tree.map(lambda x: x[:1], records)

    def _explained(self, lane: int, window: Window) -> Recording:
        """The window with where growth began, and the fractions of closed and open gates there."""
        programs, plan = self.lane_states.programs, self.lane_states.plan_of(lane)
        growth, gates, entry = find_growth(window.steps, window.norms, plan.units), {}, None
        if growth is not None:
            begun = {int(window.steps[0]), growth.step, int(window.steps[-1])}
            states = {s: window.states[s] for s in sorted(begun) if s in window.states}
            gates = self._gates.of_steps(plan, states, programs.arrays["train"])
            entry = growth._asdict() | {"gate": gate_of(growth, gates, plan)}
        forward = None
        if not np.isfinite(window.failed.scalars["loss"][0]):
            failed = window.states[int(window.steps[-1])]
            forward = self._forward.origin(plan, failed, programs.arrays["train"])
        return Recording(
            window, entry, gates, plan.recipe.chunk_steps, programs.layout.width, lane, forward
        )
