"""Checkpoints come back bit by bit; damaged ones are set aside."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import RunError, UsageError
from rnnexp.run.checkpoint import Checkpoints, Progress, read_checkpoints
from rnnexp.run.run import run
from tests.helpers.small_run import assert_same_runs, small_config

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


@pytest.mark.parametrize(("kind", "switch"), [("float32", 0), ("float64", 1)])
def test_floats_of_another_precision_are_refused_not_damage(
    kind: str, switch: int, tmp_path: Path
) -> None:
    with jax.enable_x64(kind == "float64"), contextlib.closing(Checkpoints(tmp_path)) as made:
        made.save("last", {"w": np.asarray(jnp.arange(3.0))}, Progress(1))
    message = f"the run computed in {kind}; set JAX_ENABLE_X64={switch} to read its checkpoints"
    with jax.enable_x64(kind == "float32"), contextlib.closing(Checkpoints(tmp_path)) as read:
        like = {"w": np.asarray(jnp.zeros(3))}
        with pytest.raises(UsageError, match=message):
            read.restore("last", like)
        with pytest.raises(UsageError, match=message):
            list(read_checkpoints(tmp_path, like))
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    with jax.enable_x64(kind == "float64"), contextlib.closing(Checkpoints(tmp_path)) as read:
        assert read.restore("last", {"w": np.asarray(jnp.zeros(3))}) is not None


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


def test_a_run_without_an_intact_last_checkpoint_goes_on_from_another_kind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it then writes is what the undisturbed run wrote."""
    config = small_config(
        train__duration_steps=60, checkpoint__keep_every_steps=20, eval__every_steps=30,
        optimizer__learning_rate=0.5,  # so that the first validation is the best
    )  # fmt: skip
    whole = run(config, runs_dir=tmp_path / "one").path
    damaged = run(config, runs_dir=tmp_path / "two").path
    kinds = damaged / "checkpoints"
    assert [folder.name for folder in kinds.glob("best/*")] == ["30"]
    for folder in (*kinds.glob("last/*"), kinds / "kept" / "60"):
        damage(folder)
    (damaged / "status.json").unlink()
    run(config, runs_dir=tmp_path / "two")
    assert "goes on from checkpoint kept/40" in caplog.text
    shutil.rmtree(kinds / "damaged")
    assert_same_runs(damaged, whole, config)


def test_a_checkpoint_that_is_newer_than_the_records_is_not_resumed_from(
    saved: Checkpoints, tmp_path: Path
) -> None:
    for step in (2, 5):
        saved.save("kept", STATE | {"step": jnp.int32(step)}, Progress(step))
    for folder in (tmp_path / "last").iterdir():
        damage(folder)
    restored = saved.restore_to_resume(STATE)
    assert restored is not None
    assert restored[1].step == 2


def test_without_any_checkpoint_a_run_begins(tmp_path: Path) -> None:
    with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
        assert checkpoints.restore_to_resume(STATE) is None
        checkpoints.save("best", STATE, Progress(3))  # it was killed before its first checkpoint
        assert checkpoints.restore_to_resume(STATE) is None


def test_of_the_other_kinds_it_is_the_newest_intact_one(tmp_path: Path) -> None:
    with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
        for which, step in (("kept", 2), ("best", 3), ("kept", 4), ("last", 5)):
            checkpoints.save(which, STATE | {"step": jnp.int32(step)}, Progress(step))
        damage(tmp_path / "kept" / "4")
        damage(tmp_path / "last" / "5")
        restored = checkpoints.restore_to_resume(STATE)
    assert restored is not None
    assert restored[1].step == 3
