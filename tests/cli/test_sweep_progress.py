"""A sweep's progress: which groups and columns are shown, and what is said of them."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from rnnexp.cli import sweep_progress
from rnnexp.cli.live import lines
from rnnexp.cli.sweep_progress import (
    PlainSweep,
    clock,
    group_columns,
    group_names,
    group_text,
    narrowed,
    others_text,
    shown_groups,
    total_columns,
)
from rnnexp.run.files import RunLog
from rnnexp.sweep.follow import GroupState
from rnnexp.sweep.plan import PlannedRun, write_plan

STATES = {
    0: GroupState(4, {"completed": 3, "failed": 1}, 4.0),
    1: GroupState(4, {"running": 2, "completed": 1, "waiting": 1}, 2.0, 0.0123),
    2: GroupState(4, {"waiting": 4}, 0.0),
}


def drawn(width: int) -> list[str]:
    """The lines of three groups and the whole sweep in a terminal of that width."""
    names = ("adding/rnn", "a_task_with_a_long_name/lstm  hidden_size 32", "adding/gru")
    rows = [
        group_columns(name, state, 61.0 if group == 1 else None, group == 1)
        for (group, state), name in zip(STATES.items(), names, strict=True)
    ]
    rows.append(total_columns(STATES.values(), 7300.0))
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(lines(narrowed(rows, width), width))
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_group_takes_one_line_of_any_width(width: int) -> None:
    printed = drawn(width)
    assert len(printed) == 4
    assert max(map(len, printed)) <= width
    first, second, third, total = printed
    assert "4/4 runs" in first
    assert first.rstrip().endswith("1 failed")
    assert "1/4 runs" in second
    assert "61 s left" in second
    assert "waiting" in third
    assert "5/12 runs" in total
    assert "2.0 h left" in total
    assert ("hidden_size 32" in second) == (width >= 80)
    assert ("loss 0.0123" in second) == (width == 200)
    assert (f"ends {clock(7300.0)}" in total) == (width == 200)


def test_a_group_is_called_by_what_differs_and_no_two_keys_alike() -> None:
    def group(size: int, rate: float, evaluate: int) -> list[PlannedRun]:
        changes = {
            "cell.hidden_size": size, "optimizer.learning_rate": rate,
            "eval.every_steps": evaluate, "record.every_steps": evaluate,
        }  # fmt: skip
        return [PlannedRun("adding/rnn/a-seed0", 0, changes, {})]

    plan = {0: group(8, 0.1, 5), 1: group(16, 0.1, 10)}
    names = group_names(SimpleNamespace(plan=plan))  # type: ignore[arg-type]
    assert names[1] == "adding/rnn  hidden_size 16  eval.every_steps 10  record.every_steps 10"


def test_active_groups_have_a_line_where_there_are_too_many() -> None:
    assert shown_groups(STATES, [1], 3) == [0, 1, 2]
    assert shown_groups(STATES, [1], 2) == [1]
    assert shown_groups(STATES, [2, 1, 0], 2) == [0]
    assert others_text([STATES[0], STATES[2], STATES[2]]) == "3 more groups: 1 done, 2 waiting"


def test_a_group_says_what_it_does() -> None:
    assert group_text(STATES[1], None, running=True) == "compiling"
    assert group_text(STATES[2], None, running=True) == "starting"
    assert group_text(STATES[0]._replace(counts={"completed": 4}), None, running=False) == "done"


def test_without_a_terminal_a_report_comes_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [PlannedRun(f"adding/{cell}/{n}", g, {"cell.name": cell, "seed": n}, {})
            for g, cell in enumerate(("rnn", "lstm")) for n in range(2)]  # fmt: skip
    write_plan(tmp_path / "sweeps" / "s", runs, tmp_path)
    progress = PlainSweep(tmp_path / "sweeps" / "s")
    files = RunLog(tmp_path / runs[0].run)
    files.set_status("completed", 5, "")
    files.close()
    with caplog.at_level(logging.INFO, "rnnexp"):
        progress.tick([0])
        assert caplog.messages == []
        monkeypatch.setattr(sweep_progress, "LOOK_S", 0.0)
        progress.next_report = progress.next_look = 0.0
        progress.tick([0])
    assert caplog.messages[0].startswith("group 0 (adding/rnn): 1 of 2 runs ended")
    assert caplog.messages[1].startswith("sweep: 1 of 4 runs ended")
    assert len(caplog.messages) == 2
