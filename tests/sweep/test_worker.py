"""A worker loads the code that it is told to, and trains what was planned."""

import json
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.sweep.directory import with_hashes
from rnnexp.sweep.plan import planned, write_plan
from rnnexp.sweep.worker import work
from tests.helpers.planned_runs import counts_of, start_worker
from tests.helpers.small_run import small_config
from tests.helpers.user_run import USER_FILE


def test_a_file_that_changed_since_the_start_is_not_loaded(tmp_path: Path) -> None:
    file, runs_dir = tmp_path / "mine.py", tmp_path / "runs"
    file.write_text("raise SystemExit('it ran')\n")
    write_plan(runs_dir / "sweeps" / "s", [], runs_dir)
    (given,) = with_hashes([str(file)])
    file.write_text("raise SystemExit('it ran, changed')\n")
    with pytest.raises(UsageError, match=r"mine\.py has changed since the sweep was started"):
        work(runs_dir / "sweeps" / "s", 0, [given])
    file.unlink()
    with pytest.raises(UsageError, match=r"cannot read the imported file .*mine\.py"):
        work(runs_dir / "sweeps" / "s", 0, [given])


def test_a_run_whose_files_have_changed_since_the_plan_is_not_trained(tmp_path: Path) -> None:
    config = small_config(train__duration_steps=20)
    honest, other = planned(config, 0, {}), planned(config, 0, {}, "another digest")
    assert honest.run != other.run
    runs_dir = tmp_path / "runs"
    sweep_dir = runs_dir / "sweeps" / "s"
    write_plan(sweep_dir, [honest, other], runs_dir)
    assert counts_of(start_worker(sweep_dir)) == {"completed": 1, "failed": 1}
    status = json.loads((runs_dir / other.run / "status.json").read_text())
    assert status["status"] == "failed"
    assert "has changed since the sweep was planned" in status["reason"]


def test_a_sweep_over_own_code_trains_and_is_another_after_a_change(tmp_path: Path) -> None:
    import subprocess
    import sys

    file, runs_dir = tmp_path / "mine.py", tmp_path / "runs"
    file.write_text(USER_FILE)
    command = [
        sys.executable, "-m", "rnnexp", "sweep", "mytask/mycell", "--import", str(file), "--seeds",
        "2", "--runs-dir", str(runs_dir), "--config.train.duration_steps=2", "--width", "2",
        "--config.cell.hidden_size=4", "--config.eval.examples=64", "--json",
    ]  # fmt: skip
    found = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout)["runs"])
        file.write_text(file.read_text().replace("leak * state", "leak**2 * state"))
    assert found == [{"completed": 2}, {"completed": 2}]
    assert len(list((runs_dir / "mytask" / "mycell").iterdir())) == 4
