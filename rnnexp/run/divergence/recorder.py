"""Keeps states from which the last steps of a run can be computed again, and does so.

A step is a function of the state alone, so nothing is copied step by step. Before a chunk,
the state of all lanes is copied on the devices if the newest copy is `WINDOW_STEPS` old for
any of them. Of the copies, those stay that are needed to reach back so far from wherever a
lane may fail: two, or a few more while lanes are out of step. A state is three times the
parameters with Adam, so they take six times the parameters.

When a lane has failed, the run's own compiled program goes from the copy to the window's
beginning and then step by step, while the other lanes stand still. Each step is taken twice:
as the run took it, for the next state, and recorded, for what it measured.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from rnnexp.core.errors import RunError, first_line
from rnnexp.core.tree import tree_bytes
from rnnexp.gradflow.growth import find_growth
from rnnexp.run.divergence.gates import GateShares, gate_of
from rnnexp.run.divergence.window import WINDOW_STEPS, Flight, Window, gather, same_bits
from rnnexp.train.compiled import Slots
from rnnexp.train.program import TrainState
from rnnexp.train.step_metrics import Records

log = logging.getLogger("rnnexp")
LARGE = 1 << 28
"""From so many bytes (256 MiB) on a line says what the copies take."""
FAILURES = (OSError, RunError, jax.errors.JaxRuntimeError)


class Kept(NamedTuple):
    """A copy of all lanes' states: the step of each that stood, and which run that was."""

    steps: dict[int, int]
    runs: list[int]
    state: Any


class Recorder:
    """The flight recorder of the lanes in one set of slots."""

    def __init__(self, slots: Slots):
        self.slots = slots
        self._runs = [0] * slots.programs.layout.lanes  # counts those that stood in each slot
        self._kept: list[Kept] = []
        self._works = True
        self._gates = GateShares(slots.programs.plan.recipe)

    def enter(self, slot: int) -> None:
        """Another run stands in a slot: what was kept of the one before is not its own."""
        self._runs[slot] += 1

    def keep(self, standing: Mapping[int, int]) -> None:
        """Copy the state if it is time to. Call it before a chunk.

        Args:
          standing: updates made by the run in every slot that has one.
        """
        if not self._works:
            return
        if any(self._age(slot, step) >= WINDOW_STEPS for slot, step in standing.items()):
            try:
                copy = self.slots.copied()
            except jax.errors.JaxRuntimeError as error:
                self._give_up(error)
                return
            self._kept.append(Kept(dict(standing), list(self._runs), copy))
            self._say_size()
        needed = [self._number(slot, step) for slot, step in standing.items()]
        del self._kept[: min((n for n in needed if n is not None), default=0)]

    def _give_up(self, error: BaseException) -> None:
        self._works, self._kept = False, []
        log.warning(
            "no memory for the flight recorder's copy of the state (%s): a divergence from now "
            "on is recorded by its last step alone",
            first_line(error),
        )

    def _say_size(self) -> None:
        size = tree_bytes(self._kept[-1].state)
        if len(self._kept) == 1 and size >= LARGE:
            log.info(
                "the flight recorder keeps two copies of the training state, %.2f GiB, on the "
                "devices",
                2 * size / 2**30,
            )

    def _own(self, slot: int) -> list[int]:
        """The numbers of the copies of a slot's present run, oldest first."""
        return [
            number
            for number, kept in enumerate(self._kept)
            if slot in kept.steps and kept.runs[slot] == self._runs[slot]
        ]

    def _age(self, slot: int, step: int) -> int:
        """Steps since the newest copy of a slot's run; without one, many."""
        own = self._own(slot)
        return step - self._kept[own[-1]].steps[slot] if own else WINDOW_STEPS

    def _number(self, slot: int, step: int) -> int | None:
        """The newest copy that reaches back far enough from `step`, or the run's oldest."""
        own = self._own(slot)
        far = [n for n in own if self._kept[n].steps[slot] <= step - WINDOW_STEPS]
        return far[-1] if far else (own[0] if own else None)

    def flight(self, slot: int, failed: TrainState) -> Flight:
        """The last steps of the run in a slot, whose state at the divergence is `failed`.

        They are the slot's state no longer. If they cannot be computed again, a warning says
        so, and the window is the step that failed.
        """
        try:
            window = self._window(slot, failed)
        except FAILURES as error:
            log.warning("the steps before the divergence are lost: %s", first_line(error))
            window = self._last_step(slot, failed)
        return self._explained(slot, window)

    def _last_step(self, slot: int, failed: TrainState) -> Window:
        """The window of the failed step alone, from the run's own state."""
        self.slots.put(slot, self.slots.plan_of(slot), failed)
        step = int(failed.step)
        return gather([(step, failed, self.slots.replay(slot))], origin=step, exact=True)

    def _window(self, slot: int, failed: TrainState) -> Window:
        number = self._number(slot, int(failed.step))
        if number is None:  # it had failed before it was resumed, or nothing could be kept
            return self._last_step(slot, failed)
        kept = self._kept[number]
        plan, last, origin = self.slots.plan_of(slot), int(failed.step), kept.steps[slot]
        self.slots.put(slot, plan, self.slots.lane(kept.state, slot))
        rows = []
        if self._advance(slot, origin, first := max(origin, last - WINDOW_STEPS)):
            rows = [row for step in range(first, last + 1) if (row := self._step(slot, step))]
        again = self.slots.lane(self.slots.state, slot)
        if len(rows) == last - first + 1 and same_bits(again, failed):
            return gather(rows, origin=origin, exact=True)
        log.warning(
            "steps %d to %d, computed again from step %d, did not lead to the run's own state "
            "at the divergence: what is written of them may differ from what happened",
            first, last, origin,
        )  # fmt: skip
        own = self._last_step(slot, failed)
        rows = [row for row in rows if row[0] < last]
        return gather([*rows, (last, failed, own.failed)], origin=origin, exact=False)

    def _advance(self, slot: int, here: int, to: int) -> bool:
        """Take the steps up to `to` as the run did; whether they could be taken."""
        plan = self.slots.plan_of(slot)
        while here < to:
            stop = min(to, here + plan.recipe.chunk_steps)
            if epoch := plan.epoch_steps:  # a chunk lies within one
                stop = min(stop, (here // epoch + 1) * epoch)
            self.slots.alone(slot, stop, plan.record_steps)
            if self.slots.steps()[slot] != stop:
                return False
            here = stop
        return True

    def _step(self, slot: int, step: int) -> tuple[int, TrainState, Records] | None:
        """Take a step as the run did and record it; None if the lane does not stand there."""
        every = self.slots.plan_of(slot).record_steps
        before = self.slots.copied()
        lane = self.slots.lane(before, slot)
        if int(lane.step) != step or bool(lane.diverged):
            return None
        records = self.slots.alone(slot, step + 1, 1)
        if step % every:
            self.slots.state = before
            self.slots.alone(slot, step + 1, every)
        return step, lane, jax.tree.map(lambda x: x[:1], records)

    def _explained(self, slot: int, window: Window) -> Flight:
        """Where growth began, and what the gates did there."""
        programs, plan = self.slots.programs, self.slots.plan_of(slot)
        growth, gates, entry = find_growth(window.steps, window.norms, plan.units), {}, None
        if growth is not None:
            begun = {int(window.steps[0]), growth.step, int(window.steps[-1])}
            states = {s: window.states[s] for s in sorted(begun) if s in window.states}
            gates = self._gates.of_steps(plan, states, programs.arrays["train"])
            entry = growth._asdict() | {"gate": gate_of(growth, gates, plan)}
        return Flight(window, entry, gates, plan.recipe.chunk_steps, programs.layout.width, slot)
