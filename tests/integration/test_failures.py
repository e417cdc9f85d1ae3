"""What goes wrong around a run: full disk, unwritable folder, bad data, divergence."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnexp.cli.main import main
from rnnexp.core.errors import RunError
from rnnexp.results.load import load_run
from rnnexp.run.callbacks import run_path
from rnnexp.run.files import read_json
from rnnexp.run.run import run
from tests.helpers.small_run import assert_same_runs, small_config

CONFIG = small_config(train__duration_steps=60)


def test_a_disk_that_fills_up_in_mid_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = run(CONFIG, runs_dir=tmp_path / "undisturbed").path
    real, calls = os.fsync, iter(range(10_000))

    def full(descriptor: int) -> None:
        if next(calls) >= 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"No space left on device.*the same command resumes"):
            run(CONFIG, runs_dir=tmp_path)
    result = run(CONFIG, runs_dir=tmp_path)
    assert result.status == "completed"
    assert_same_runs(result.path, undisturbed, CONFIG)


def test_a_disk_that_is_really_full(root: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("may not mount a small file system here (needs root)")
    command = [sys.executable, "-m", "tests.helpers.killed_run", str(disk), "0"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
        assert "RunError" in done.stderr
        assert "the same command resumes" in done.stderr
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
        assert done.stdout.startswith("completed"), done.stderr
        config = small_config()
        undisturbed = run(config, runs_dir=tmp_path / "undisturbed").path
        assert_same_runs(run_path(config, disk), undisturbed, config)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    code = main(["run", "adding/rnn", "--runs-dir", str(tmp_path / "runs")])
    assert code == 2
    assert "cannot write the run directory" in capsys.readouterr().err


def test_a_corrupted_data_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RNNEXP_DATA", raising=False)
    file = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    file.parent.mkdir()
    file.write_bytes(b"\x1f\x8b" + bytes(100))
    code = main(["run", "mnist/lstm", "--runs-dir", str(tmp_path), "--data-dir", str(tmp_path)])
    assert code == 2
    message = capsys.readouterr().err
    assert str(file) in message
    assert "is damaged" in message
    assert not list(tmp_path.glob("mnist/lstm"))


def test_a_divergence_is_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "adding/rnn", "--runs-dir", str(tmp_path)]
    for key, value in {
        "cell.recurrent_scale": 8.0,
        "cell.hidden_size": 64,
        "task.length_steps": 300,
        "record.every_steps": 7,
        "optimizer.learning_rate": 1e-6,
    }.items():
        command.append(f"--config.{key}={value}")
    assert main(command) == 0
    [path] = tmp_path.glob("adding/rnn/*")
    status = read_json(path / "status.json")
    assert status is not None
    assert status["status"] == "diverged"
    origin = status["divergence"]["origin"]
    assert origin["leaf"] == "h"
    assert origin["unit"] == "layer_0"
    assert 0 < origin["lag"] == 299 - origin["time"]
    assert f"{origin['lag']} steps before the end of the sequence" in capsys.readouterr().out
    logged = load_run(path)
    step = status["divergence"]["step"]
    assert logged.steps[-1] == step
    profile = logged.norms["h"][-1, 0]
    assert not np.isfinite(profile[origin["time"]])
    assert np.isfinite(profile[origin["time"] + 1 :]).all()
    assert main(command) == 0  # it has ended: nothing is run again
    assert len(load_run(path).metrics) == len(logged.metrics)
    assert main(["inspect", str(path), "--plot", str(tmp_path / "diverged.png")]) == 0
    assert "diverged" in capsys.readouterr().out
