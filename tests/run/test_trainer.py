"""How many steps a trainer asks for at once, and in what order it does what."""

from types import SimpleNamespace
from typing import Any

import pytest

from rnnexp.run import trainer as trainers
from rnnexp.run.divergence.recorder import Recorder
from rnnexp.run.schedule import Schedule
from rnnexp.run.trainer import VISIT_S, Trainer
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_plan
from tests.helpers.diverging_runs import config


class Clock:
    """A time that stands where it is set."""

    now = 0.0

    def monotonic(self) -> float:
        """See `time.monotonic`."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that trainers see."""
    clock = Clock()
    monkeypatch.setattr(trainers, "time", clock)
    return clock


def trainer_of(programs: Any, pace: int) -> Any:
    """A trainer that has been at work, on the same devices as all others of `programs`."""
    trainer: Any = Trainer.__new__(Trainer)
    trainer.lane_states = SimpleNamespace(programs=programs)
    trainer.chunk_steps, trainer.pace, trainer.visits = 1000, pace, 1
    return trainer


def test_waiting_for_another_trainer_does_not_slow_the_pace(clock: Clock) -> None:
    programs = SimpleNamespace(free_since=0.0)
    first, second = trainer_of(programs, 100), trainer_of(programs, 100)
    for round_s in (0.0, 2.0, 4.0):  # both chunks take a second of the devices
        clock.now = round_s + 1
        first._set_pace(round_s, 100)
        clock.now = round_s + 2
        second._set_pace(round_s + 0.1, 100)
    assert first.pace == second.pace == int(VISIT_S * 100)


def test_the_pace_falls_by_half_at_most(clock: Clock) -> None:
    trainer = trainer_of(SimpleNamespace(free_since=0.0), 100)
    clock.now = 1000.0
    trainer._set_pace(0.0, 100)
    assert trainer.pace == 50
    clock.now = 1000.0 + VISIT_S
    trainer._set_pace(1000.0, 50)
    assert trainer.pace == 50


def test_the_first_visit_compiles_and_says_nothing_of_the_pace(clock: Clock) -> None:
    trainer = trainer_of(SimpleNamespace(free_since=0.0), 1)
    trainer.visits = 0
    clock.now = 10.0
    trainer._set_pace(0.0, 1)
    clock.now = 10.0 + VISIT_S / 4
    trainer._set_pace(10.0, 1)
    assert trainer.pace == 4


class Session:
    """A run of 6 steps that notes what is asked of it."""

    schedule = Schedule(total=6, evaluate=0, checkpoint=0, record=1)

    def __init__(self, events: list[str], pause_at: int):
        self.events, self.pause_at, self.step = events, pause_at, 0

    def due(self) -> frozenset[str]:
        return frozenset()

    @property
    def ended(self) -> bool:
        return self.step >= 6

    @property
    def pauses(self) -> bool:
        return self.ended or self.step == self.pause_at

    def advance_to(self, step: int) -> None:
        self.step = step

    def write_records(self, records: int) -> None:
        assert records == self.step
        self.events.append(f"report {records}")


def events_of(pause_at: int, stop_at: int, diverge_at: int = -1) -> list[str]:
    """What a trainer of one lane does, two steps a chunk, until it ends, or is asked to stop."""
    events: list[str] = []
    session, stop = Session(events, pause_at), SimpleNamespace(name=None)
    at = 0

    def launch(stops: list[int], _: list[int]) -> None:
        nonlocal at
        assert stops[0] > at
        at = stops[0]
        events.append(f"launch {at}")

    trainer: Any = Trainer.__new__(Trainer)
    trainer.lane_states = SimpleNamespace(
        launch=launch,
        records=lambda: [at],
        steps=lambda: [at],
        diverged=lambda: [at == diverge_at],
    )
    trainer.recorder = SimpleNamespace(keep=lambda steps: None)
    trainer.sessions, trainer.pace = [session], 2
    trainer._set_pace = lambda *_: None
    trainer._fill = lambda: not session.ended
    trainer._conclude = lambda: events.append("conclude")
    trainer._interrupt = lambda stop: events.append("end")
    for _ in trainer.rounds(stop):
        if at == stop_at:
            stop.name = "SIGTERM"
    return events


def test_the_devices_do_not_wait_for_files_where_nothing_is_due() -> None:
    assert events_of(pause_at=-1, stop_at=-1) == [
        "conclude", "launch 2",
        "launch 4", "report 2",
        "launch 6", "report 4",
        "report 6", "conclude", "end",
    ]  # fmt: skip


@pytest.mark.parametrize("why", ["pause_at", "diverge_at"])
def test_what_is_due_comes_before_the_next_chunk(why: str) -> None:
    given = {"pause_at": -1, "stop_at": -1, why: 4}
    assert events_of(**given) == [
        "conclude", "launch 2",
        "launch 4", "report 2",
        "report 4", "conclude", "launch 6",
        "report 6", "conclude", "end",
    ]  # fmt: skip


def test_whoever_is_asked_to_stop_launches_no_more() -> None:
    assert events_of(pause_at=-1, stop_at=4) == [
        "conclude", "launch 2",
        "launch 4", "report 2",
        "report 4", "conclude", "end",
    ]  # fmt: skip


def test_every_trainer_keeps_states() -> None:
    plan = make_plan(config(), data_dir=None, chunk_steps=2)
    trainer = Trainer(Programs(plan), lambda: None, lambda result, error: None)
    assert isinstance(trainer.recorder, Recorder)
