"""What a run leaves on disk: JSON, the lock, metrics, gradient arrays, checkpoints."""

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from rnnexp.core.errors import RunError, UsageError
from rnnexp.run.checkpoint import Checkpoints, Progress
from rnnexp.run.files import RunLog, read_json, read_metrics
from rnnexp.run.gradient_store import GradientLog
from tests.helpers.killed_write import killed_at


@pytest.fixture
def run_log(tmp_path: Path) -> Iterator[RunLog]:
    """A run's directory, locked."""
    with contextlib.closing(RunLog(tmp_path / "runs" / "a")) as log:
        yield log


def test_a_directory_has_one_owner(run_log: RunLog) -> None:
    code = "import sys, pathlib, rnnexp.run.files as r; r.RunLog(pathlib.Path(sys.argv[1])).close()"
    command = [sys.executable, "-c", code, str(run_log.path)]
    with pytest.raises(UsageError, match=rf"another process \(pid {os.getpid()} on "):
        RunLog(run_log.path)
    done = subprocess.run(command, capture_output=True, text=True)
    assert f"UsageError: another process (pid {os.getpid()} on " in done.stderr
    run_log.close()
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match=r"cannot write the run directory .*/runs/a: Not a dir"):
        RunLog(tmp_path / "runs" / "a")


@pytest.mark.parametrize("content", [b'{"a": ', b'{"a": "\xff"}', b""])
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    assert read_json(tmp_path / "status.json") is None
    (tmp_path / "status.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot read .*status\.json"):
        read_json(tmp_path / "status.json")


@pytest.mark.parametrize(
    ("step", "kept"),
    [(None, ""), (0, "b0"), (2, "b0 t0 t1 v2"), (3, "b0 t0 t1 t2 v2"), (9, "b0 t0 t1 t2 t3 v2 v4")],
)
def test_metrics_are_cut_to_a_checkpoint(run_log: RunLog, step: int | None, kept: str) -> None:
    run_log.log("baseline", [{"step": 0, "loss": 0.1}])
    run_log.log("train", [{"step": n, "loss": math.nan if n == 1 else 1 / 3} for n in range(4)])
    for kind, at in [("valid", 2), ("valid", 4), ("test", 2)]:
        run_log.log(kind, [{"step": at, "loss": 0.2}])
    before = read_metrics(run_log.path)
    run_log.truncate(step)
    after = read_metrics(run_log.path)
    assert " ".join(f"{row['kind'][0]}{row['step']}" for row in after) == kept
    assert (len(before), all(row in before for row in after)) == (8, True)


def test_an_incomplete_last_line_is_left_out(run_log: RunLog) -> None:
    assert read_metrics(run_log.path) == []
    run_log.log("train", [{"step": n} for n in range(3)])
    file = run_log.path / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    assert [row["step"] for row in read_metrics(run_log.path)] == [0, 1]
    run_log.truncate(3)
    run_log.log("train", [{"step": 2}])
    assert [row["step"] for row in read_metrics(run_log.path)] == [0, 1, 2]


@pytest.mark.parametrize("damage", [b'{"kind": "tr\n', b"\xff\xfe\n"])
def test_a_damaged_line_in_the_middle_is_named(run_log: RunLog, damage: bytes) -> None:
    run_log.log("train", [{"step": n} for n in range(3)])
    file = run_log.path / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + damage + lines[2])
    with pytest.raises(UsageError, match=r"metrics\.jsonl line 2 is damaged"):
        read_metrics(run_log.path)


def write(path: Path, steps: Iterable[int], *, resume_at: int | None = None) -> None:
    """Log made-up profiles of these steps, as a process does that begins or resumes."""
    path.parent.mkdir(exist_ok=True)
    log = GradientLog(path, ["a", "b"])
    if resume_at is not None:
        log.truncate(resume_at)
    for step in steps:
        draw = np.random.default_rng(step).random((2, 2, 5), np.float32)
        log.append(step, {"h": draw[0], "c": draw[1]})
    log.flush()


def read(path: Path) -> Any:
    """A store's content, an `xarray.Dataset`."""
    with xarray.open_zarr(path) as data:
        return data.load()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What an uninterrupted process writes: 100 rows, more than one chunk of 64."""
    path = tmp_path_factory.mktemp("whole") / "g.zarr"
    write(path, range(0, 1000, 10))
    return read(path)


def test_profiles_are_labelled(whole: Any) -> None:
    for index, name in enumerate(("dL_dh", "dL_dc")):
        assert (whole[name].dims, whole[name].dtype) == (("step", "layer", "time"), np.float32)
        for step in range(0, 1000, 10):
            draw = np.random.default_rng(step).random((2, 2, 5), np.float32)
            np.testing.assert_array_equal(whole[name].sel(step=step), draw[index])
    assert whole["dL_dh"].attrs["unit_names"] == ["a", "b"]
    labels = {name: values.values.tolist() for name, values in whole.coords.items()}
    assert labels == {"step": [*range(0, 1000, 10)], "layer": [0, 1], "time": [0, 1, 2, 3, 4]}


@pytest.mark.parametrize("resume_at", [0, 5, 10, 300, 640, 641, 990])
def test_a_resumed_store_is_the_same(tmp_path: Path, whole: Any, resume_at: int) -> None:
    write(tmp_path / "g.zarr", range(0, 900, 10))
    write(tmp_path / "g.zarr", [], resume_at=resume_at)
    kept = [step for step in range(0, 900, 10) if step < resume_at]
    xarray.testing.assert_identical(read(tmp_path / "g.zarr"), whole.sel(step=kept))
    write(tmp_path / "g.zarr", range(len(kept) * 10, 1000, 10), resume_at=resume_at)
    xarray.testing.assert_identical(read(tmp_path / "g.zarr"), whole)


@pytest.mark.usefixtures("cut_short")
@pytest.mark.filterwarnings(
    "ignore:.*never awaited", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(
    ("before", "cut", "stride"),
    [([], None, 9), (range(0, 300, 10), None, 3), (range(0, 300, 10), 200, 5)],
    ids=["first", "append", "resume"],
)
def test_a_kill_in_mid_write_is_mended(
    tmp_path: Path, whole: Any, before: Sequence[int], cut: int | None, stride: int
) -> None:
    write(tmp_path / "before" / "g.zarr", before)
    begin = 0 if not before else cut or 300
    for operation in range(1, 1000, stride):
        path = tmp_path / str(operation) / "g.zarr"
        shutil.copytree(tmp_path / "before", path.parent)
        with killed_at(operation, "g.zarr") as hit:
            write(path, range(begin, 800, 10), resume_at=cut)
        write(path, range(begin, 1000, 10), resume_at=begin)
        xarray.testing.assert_identical(read(path), whole)
        if not hit[0]:
            break
    assert operation > 5


def test_a_store_of_another_kind_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "g.zarr"
    write(path, range(0, 30, 10))
    meta = json.loads((path / "zarr.json").read_text())
    meta["consolidated_metadata"]["metadata"]["dL_dh"]["codecs"].append({"name": "zstd"})
    (path / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(UsageError, match="dL_dh is compressed"):
        write(path, [30])


STATE = {"w": jax.random.normal(jax.random.key(0), (64, 64)), "step": jnp.asarray(3, jnp.int32)}
STATE["odd"] = jnp.array([jnp.nan, -0.0, jnp.inf, 1e-45, 1 / 3])


def save(checkpoints: Checkpoints, *steps: int) -> None:
    """Save states that differ in their `step`."""
    for step in steps:
        checkpoints.save("last", STATE | {"step": jnp.int32(step)}, Progress(step, 0.1, 1, 2))


def restored_step(checkpoints: Checkpoints) -> int | None:
    """Which state comes back."""
    restored = checkpoints.restore("last", STATE)
    assert restored is None or int(restored[0]["step"]) == restored[1].step
    return None if restored is None else restored[1].step


def damage(folder: Path) -> None:
    """Flip bits in the middle of the largest file."""
    file = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = np.frombuffer(file.read_bytes(), np.uint8).copy()
    content[len(content) // 2 :][:8] ^= 0xFF
    file.write_bytes(content.tobytes())


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Checkpoints]:
    """Checkpoints after 1, 2 and 3 steps."""
    with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
        save(checkpoints, 1, 2, 3)
        yield checkpoints


def test_a_checkpoint_comes_back_bit_by_bit(saved: Checkpoints, tmp_path: Path) -> None:
    assert sorted(p.name for p in (tmp_path / "last").iterdir()) == ["2", "3"]
    state, progress = saved.restore("last", jax.tree.map(jnp.zeros_like, STATE)) or ({}, None)
    assert progress == Progress(3, 0.1, 1, 2)
    for got, expected in zip(jax.tree.leaves(state), jax.tree.leaves(STATE), strict=True):
        assert (got.dtype, np.asarray(got).tobytes()) == (expected.dtype, expected.tobytes())
    assert saved.restore("best", STATE) is None


def test_a_damaged_checkpoint_is_set_aside(
    saved: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(tmp_path / "last" / "3")
    assert restored_step(saved) == 2
    assert "checkpoint last/3 is damaged" in caplog.text
    assert [p.name for p in (tmp_path / "damaged").iterdir()] == ["last-3"]
    save(saved, 3)
    assert restored_step(saved) == 3
    damage(tmp_path / "last" / "2")
    damage(tmp_path / "last" / "3")
    assert restored_step(saved) is None
    assert {p.name for p in (tmp_path / "damaged").iterdir()} == {"last-3", "last-3-1", "last-2"}


def test_a_wrong_checksum_is_damage(saved: Checkpoints, tmp_path: Path) -> None:
    (meta,) = (p for p in (tmp_path / "last" / "3" / "meta").iterdir() if "digest" in p.read_text())
    kept = meta.read_text()
    wrong = kept.replace(kept.partition('"digest": "')[2][:64], "0" * 64)
    assert wrong != kept
    meta.write_text(wrong)
    assert restored_step(saved) == 2


def test_a_checkpoint_that_cannot_be_stored(saved: Checkpoints, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "last")
    (tmp_path / "last").touch()
    with pytest.raises(RunError, match="cannot save a checkpoint in"):
        save(saved, 4)
