"""A task that was read from a run is the task that was trained, but for its data."""

from pathlib import Path

import jax.numpy as jnp
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.run.task_facts import FILE, STORED, read_task, write_task
from rnnexp.tasks.base import Bucketed, Finite
from rnnexp.tasks.batches import source_size
from rnnexp.train.build import build_task


@pytest.mark.parametrize("name", ["adding", "copy_memory", "digits", "reverse", "mackey_glass"])
def test_a_task_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    task = build_task(name)
    assert read_task(tmp_path) is None
    write_task(tmp_path, task)
    found = read_task(tmp_path)
    assert found is not None
    for field in STORED:
        assert getattr(found, field) == getattr(task, field)
    assert source_size(found.train) == source_size(task.train)
    assert (found.teacher is None) == (task.teacher is None)
    assert isinstance(found.train, Bucketed) == isinstance(task.train, Finite | Bucketed)
    with pytest.raises(UsageError, match=r"task\.json, which has no data"):
        found.scores(jnp.zeros(1), Batch(jnp.zeros(1), jnp.zeros(1)))


@pytest.mark.parametrize("content", ["{}", '{"name": "x", "train_size": null}'])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(UsageError, match=r"task\.json is damaged"):
        read_task(tmp_path)
