"""A small music task, registered for a test, and what a head of it prints and writes."""

from pathlib import Path
from typing import Any

import pytest

import rnnexp
from rnnexp.cli.main import main
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Task
from rnnexp.tasks.music import music_task
from tests.helpers.midi_files import read_roll
from tests.helpers.piano_rolls import random_rolls


def small_music() -> Task:
    """Next frame of random piano rolls."""
    return music_task("small_music", random_rolls(), "predicted")


def train_and_sample(
    head: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], **options: Any
) -> str:
    """What a short run with that head prints; 20 frames that it draws go through a MIDI file.

    The test needs the fixture `own_tables`.
    """
    if "small_music" not in TASKS.names():
        rnnexp.task("small_music", modes=("synchronous",))(small_music)
    keys = [f"--config.head.{name}={value}" for name, value in options.items()]
    run = ["run", "small_music/rnn", f"--config.head.name={head}", *keys]
    run += ["--config.cell.hidden_size=8", "--config.train.batch_size=4"]
    run += ["--config.train.duration_steps=2", "--runs-dir", str(tmp_path)]
    assert main(run) == 0
    printed = capsys.readouterr().out
    file = tmp_path / "x.mid"
    sample = ["sample", "small_music/rnn", "--length", "20", "--runs-dir", str(tmp_path)]
    assert main([*sample, "-o", str(file)]) == 0
    assert read_roll(file)[0].shape == (20, 88)
    return printed
