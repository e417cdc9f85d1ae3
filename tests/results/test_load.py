"""Runs are found by name and by age."""

from pathlib import Path

from rnnexp.results.index import scan
from rnnexp.results.load import find_run, load_run
from tests.helpers.logged_runs import dead_and_living, write_logged_run
from tests.helpers.synthetic_runs import write_run


def test_runs_come_oldest_first_and_equal_ones_by_name(tmp_path: Path) -> None:
    ages = {0: 5, 1: 2, 2: 5, 3: 9}
    names = {s: write_run(tmp_path, changes={"seed": s}, age=age) for s, age in ages.items()}
    expected = [names[1], *sorted([names[0], names[2]]), names[3]]
    assert [run for run, _ in scan(tmp_path)] == expected
    assert find_run("adding/lstm", tmp_path) == tmp_path / names[3]
    assert find_run(names[2].rpartition("/")[2], tmp_path) == tmp_path / names[2]
    assert find_run(names[1], tmp_path) == tmp_path / names[1]


def test_a_run_is_dead_if_it_diverged_or_its_last_loss_is_lost(tmp_path: Path) -> None:
    assert [run.dead for run in dead_and_living(tmp_path)] == [True, True, False]
    without = write_logged_run(tmp_path, changes={"seed": 9})
    (without / "metrics.jsonl").write_text("")
    assert not load_run(without).dead
