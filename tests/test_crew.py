"""How many steps a crew asks for at once."""

from types import SimpleNamespace
from typing import Any

import pytest

from rnnexp import crew as crews
from rnnexp.crew import VISIT_S, Crew


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
