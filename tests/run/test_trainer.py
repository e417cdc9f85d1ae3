"""How many steps a crew asks for at once, and in what order it does what."""

from types import SimpleNamespace
from typing import Any

import pytest

from rnnexp.run import trainer as crews
from rnnexp.run.divergence.recorder import Recorder
from rnnexp.run.trainer import VISIT_S, Crew
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
    """The time that crews see."""
    clock = Clock()
    monkeypatch.setattr(crews, "time", clock)
    return clock


def crew_of(programs: Any, pace: int) -> Any:
    """A crew that has been at work, on the same devices as all others of `programs`."""
    crew: Any = Crew.__new__(Crew)
    crew.slots = SimpleNamespace(programs=programs)
    crew.chunk_steps, crew.pace, crew.visits = 1000, pace, 1
    return crew


def test_waiting_for_another_crew_does_not_slow_the_pace(clock: Clock) -> None:
    programs = SimpleNamespace(free_since=0.0)
    first, second = crew_of(programs, 100), crew_of(programs, 100)
    for round_s in (0.0, 2.0, 4.0):  # both chunks take a second of the devices
        clock.now = round_s + 1
        first._set_pace(round_s, 100)
        clock.now = round_s + 2
        second._set_pace(round_s + 0.1, 100)
    assert first.pace == second.pace == int(VISIT_S * 100)


def test_the_pace_falls_by_half_at_most(clock: Clock) -> None:
    crew = crew_of(SimpleNamespace(free_since=0.0), 100)
    clock.now = 1000.0
    crew._set_pace(0.0, 100)
    assert crew.pace == 50
    clock.now = 1000.0 + VISIT_S
    crew._set_pace(1000.0, 50)
    assert crew.pace == 50


def test_the_first_visit_compiles_and_says_nothing_of_the_pace(clock: Clock) -> None:
    crew = crew_of(SimpleNamespace(free_since=0.0), 1)
    crew.visits = 0
    clock.now = 10.0
    crew._set_pace(0.0, 1)
    clock.now = 10.0 + VISIT_S / 4
    crew._set_pace(10.0, 1)
    assert crew.pace == 4


class Lane:
    """A run of 6 steps that writes down what is asked of it."""

    def __init__(self, events: list[str], pause_at: int):
        self.events, self.pause_at, self.step = events, pause_at, 0
        self.plan = SimpleNamespace(record_steps=1)
        self.evaluation_due = self.checkpoint_due = False
        self.keeping_due = self.laboratory_due = False

    @property
    def ended(self) -> bool:
        return self.step >= 6

    @property
    def pauses(self) -> bool:
        return self.ended or self.step == self.pause_at

    def next_boundary(self) -> int:
        return 6

    def moved(self, step: int) -> None:
        self.step = step

    def report(self, records: int) -> None:
        assert records == self.step
        self.events.append(f"report {records}")


def events_of(pause_at: int, stop_at: int, diverge_at: int = -1) -> list[str]:
    """What a crew of one lane does, two steps a chunk, until it ends, or is asked to stop."""
    events: list[str] = []
    lane, stop = Lane(events, pause_at), SimpleNamespace(name=None)
    at = 0

    def launch(stops: list[int], _: list[int]) -> None:
        nonlocal at
        assert stops[0] > at
        at = stops[0]
        events.append(f"launch {at}")

    crew: Any = Crew.__new__(Crew)
    crew.slots = SimpleNamespace(
        launch=launch,
        records=lambda: [at],
        steps=lambda: [at],
        diverged=lambda: [at == diverge_at],
    )
    crew.recorder = SimpleNamespace(keep=lambda steps: None)
    crew.lanes, crew.pace = [lane], 2
    crew._set_pace = lambda *_: None
    crew._fill = lambda: not lane.ended
    crew._conclude = lambda: events.append("conclude")
    crew._interrupt = lambda stop: events.append("end")
    for _ in crew.rounds(stop):
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


def test_every_crew_keeps_states() -> None:
    plan = make_plan(config(), data_dir=None, chunk_steps=2)
    crew = Crew(Programs(plan), lambda: None, lambda result, error: None)
    assert isinstance(crew.recorder, Recorder)
