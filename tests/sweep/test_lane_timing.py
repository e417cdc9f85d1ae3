"""The time that a step on lanes takes, measured once, and the width that is chosen by it."""

from pathlib import Path

import jax
import pytest

from rnnexp.sweep import lane_timing
from rnnexp.sweep.lane_timing import Times, choose_width, time_lane_step
from rnnexp.train.lanes import LaneLayout
from rnnexp.train.plan import Plan
from tests.helpers.lane_plans import plan_of


def test_times_are_measured_once_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = plan_of("adding/rnn", task__length_steps=5, cell__hidden_size=4)
    first = Times(plan, 2).lane_step(1)
    assert first > 0
    monkeypatch.setattr(lane_timing, "time_lane_step", lambda *_: pytest.fail("measured again"))
    assert Times(plan, 2).lane_step(1) == first
    [file] = (tmp_path / "rnnexp" / "lanes").iterdir()
    file.write_text("no JSON")
    monkeypatch.setattr(lane_timing, "time_lane_step", lambda *_: 7.0)
    with caplog.at_level("INFO", "rnnexp"):
        assert Times(plan, 2).lane_step(1) == 7.0
    assert "measuring again" in caplog.text


def test_a_step_takes_longer_where_there_is_more_to_do() -> None:
    short = time_lane_step(plan_of("adding/rnn", task__length_steps=5), LaneLayout(2, 1))
    long = time_lane_step(plan_of("adding/rnn", task__length_steps=500), LaneLayout(2, 1))
    assert long > 3 * short


@pytest.mark.parametrize(
    ("milliseconds", "runs", "width"),
    [
        ({1: 10.0, 4: 12.0}, 100, 1),  # slower side by side
        ({1: 10.0, 4: 3.0, 16: 2.0, 64: 1.99}, 1000, 16),  # ever wider until it brings nothing
        ({1: 10.0, 4: 3.0}, 4, 2),  # no wider than there are runs
        ({1: 10.0, 4: 3.0, 16: None}, 1000, 4),  # 16 do not fit
        ({1: 10.0}, 2, 1),  # nothing to choose
    ],
)
def test_the_width_is_the_fastest_that_was_measured(
    milliseconds: dict[int, float | None],
    runs: int,
    width: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def timed(plan: Plan, layout: LaneLayout) -> float:
        if (value := milliseconds[layout.width]) is None:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return value

    monkeypatch.setattr(lane_timing, "time_lane_step", timed)
    plan = plan_of("adding/rnn", task__length_steps=5, cell__hidden_size=4)
    assert choose_width(plan, devices=2, runs=runs) == width


def test_what_is_soon_over_is_not_worth_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lane_timing, "PATIENCE", 1e9)
    plan = plan_of("adding/rnn", task__length_steps=5, cell__hidden_size=4)
    with caplog.at_level("INFO", "rnnexp"):
        assert choose_width(plan, devices=2, runs=10) == 1
    assert "not worth measuring" in caplog.text
