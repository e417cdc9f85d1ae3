"""A command's second start finds its compiled programs, and makes the same run."""

import os
import subprocess
import sys
from pathlib import Path

from rnnexp.config.schema import experiment, finish
from tests.helpers.cache_variables import OURS
from tests.helpers.small_run import assert_same_runs

CHANGES = {
    "task.length_steps": 8,
    "cell.hidden_size": 4,
    "model.kernel": "scan",
    "train.duration_steps": 4,
    "eval.examples": 64,
    "record.every_steps": 2,
}


def test_a_command_s_second_start_finds_its_programs(tmp_path: Path) -> None:
    """And it makes the same run, without a word of XLA's."""
    config = experiment("adding/rnn")
    config.update_from_flattened_dict(CHANGES)
    given = [f"--config.{key}={value}" for key, value in CHANGES.items()]
    environment = {k: v for k, v in os.environ.items() if k not in OURS}
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    kept, paths = [], list[Path]()
    for name in ("cold", "warm"):
        command = [sys.executable, "-m", "rnnexp", "run", "adding/rnn", *given]
        done = subprocess.run(
            [*command, "--runs-dir", str(tmp_path / name)],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = [line for line in done.stderr.splitlines() if not line.startswith("rnnexp: ")]
        assert lines == []
        kept.append(sorted((tmp_path / "cache").rglob("*-cache")))
        paths += (tmp_path / name / "adding" / "rnn").iterdir()
    assert kept[0] == kept[1] != []
    assert_same_runs(paths[0], paths[1], finish(config))
