"""Every file of a run, damaged in every way, meets every command: one line, and nothing is lost."""

import json
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnexp.run.run import run
from tests.helpers.damage import as_nobody, command_result, damages_of
from tests.helpers.laboratory_runs import config_of

COMMANDS = {
    "inspect": ["inspect", "{run}"],
    "compare": ["compare", "{runs}"],
    "compare RUN": ["compare", "{run}"],
    "report": ["report", "{runs}", "-o", "{out}/page.html"],
    "list": ["list", "runs", "--runs-dir", "{runs}"],
    "export": ["export", "{run}", "--to", "tensorboard", "-o", "{out}"],
    "sample": ["sample", "{run}"],
    "again": ["run", "--again", "{run}", "--runs-dir", "{runs}"],
}
CODES = (0, 1, 2)
QUICK = 2.0
"""Seconds of processor time for a command that compiles nothing."""
KINDS = (
    "config.json", "environment.json", "status.json", "metrics.jsonl", "task.json", "lock",
    "gradients.zarr/zarr.json", "gradients.zarr/step/c/0", "gradients.zarr/unit/c/0",
    "gradients.zarr/dL_dh/c/0/0/0", "laboratory.zarr/zarr.json", "laboratory.zarr/unit/c/0",
    "checkpoints/last/40/_CHECKPOINT_METADATA", "checkpoints/last/40/meta/metadata",
    "checkpoints/last/40/state/manifest.ocdbt", "checkpoints/last/40/state/_METADATA",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has every file; what commands import is imported."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    (folder.parent / "out").mkdir()
    path = run(config_of(record__every_steps=4), runs_dir=folder).path
    for name in COMMANDS:
        assert command_result(filled(name, path))[0] in CODES
    return path


def filled(name: str, path: Path) -> list[str]:
    """The arguments of a command on a run."""
    runs = path.parents[2]
    places = {"run": path, "runs": runs, "out": runs.parent / "out"}
    return [part.format(**places) for part in COMMANDS[name]]


def cases(path: Path) -> list[tuple[str, str, str]]:
    """Every file of `KINDS`, damage and command."""
    return [
        (file, damage, command)
        for file in KINDS
        for damage in damages_of(path / file)
        for command in COMMANDS
    ]


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user can reach, as whom permissions are tested."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def check(made: Path, folder: Path, file: str, damage: str, command: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made.parents[2], folder / "runs")
    (folder / "out").mkdir()
    path = folder / "runs" / made.relative_to(made.parents[2])
    damages_of(path / file)[damage](path / file)
    before = contents(path)
    began = time.process_time()
    with as_nobody(folder):
        code, out, err = command_result(filled(command, path))
    spent = time.process_time() - began
    where = f"{command} with {file} {damage}: exit code {code}\n{out[-300:]}\n{err[-2000:]}"
    assert code in CODES, where
    assert "Traceback" not in out + err, where
    if code:
        assert err.strip().splitlines()[-1].startswith("rnnexp: "), where
    if damage == "denied":
        assert contents(path) == before, f"something was replaced: {where}"
    if command != "again":
        assert contents(path) == before, f"a reader wrote: {where}"
        assert spent < QUICK, where


def contents(path: Path) -> dict[str, bytes]:
    """The content of every file that may be read, but for locks."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.suffix != ".lock" and file.name != "lock"
    }


def test_a_sample_of_damages(made: Path, open_to_all: Path) -> None:
    """Every file, every damage and every command comes at least once."""
    found = cases(made)
    random.Random(17).shuffle(found)
    chosen: dict[str, tuple[str, str, str]] = {}
    for file, damage, command in found:
        for part in (file, damage, command):
            chosen.setdefault(part, (file, damage, command))
    for file, damage, command in chosen.values():
        check(made, open_to_all / "case", file, damage, command)


@pytest.mark.slow
@pytest.mark.parametrize("file", KINDS)
def test_every_damage_of_a_file_and_every_command(made: Path, open_to_all: Path, file: str) -> None:
    for kind, damage, command in cases(made):
        if kind == file:
            check(made, open_to_all / "case", file, damage, command)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["gone", "half", "bit", "denied", "folder"])
def test_a_run_goes_on_whatever_part_of_its_last_checkpoint_is_damaged(
    made: Path, open_to_all: Path, damage: str
) -> None:
    """It ends as the undisturbed run, or, where it may not read, refuses and changes nothing."""
    root = made / "checkpoints" / "last" / "40"
    kinds = {re.sub(r"[0-9a-f]{16,}", "N", str(f.relative_to(root))): f for f in root.rglob("*")}
    for file in (f for f in kinds.values() if f.is_file()):
        folder = open_to_all / "case"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made.parents[2], folder / "runs")
        path = folder / "runs" / made.relative_to(made.parents[2])
        stopped = {"status": "interrupted", "step": 40, "reason": "", "time": 0}
        (path / "status.json").write_text(json.dumps(stopped))
        damages_of(file)[damage](path / file.relative_to(made))
        with as_nobody(folder):
            code, out, err = command_result(
                ["run", "--again", str(path), "--runs-dir", str(folder / "runs")]
            )
        assert "Traceback" not in out + err
        assert code == (2 if damage == "denied" else 0), (file, err[-2000:])
