"""No task lets a network read a step's target out of the inputs after that step.

A synchronous task says by `causal` whether its later inputs show a step's target. The tests find
out from batches, without what the task says: the targets are regressed, linearly, on the inputs
around their step. Where the inputs after it leave nothing of them to explain, they show them.
"""

from functools import cache

import numpy as np
import pytest

from rnnexp.config.schema import experiment, finish
from rnnexp.config.validate import require_fit
from rnnexp.core.errors import UsageError
from rnnexp.core.registry import READING_MODES, STEPWISE
from rnnexp.core.types import Batch
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Stream, Task
from rnnexp.train.build import build_structure, cell_maker
from tests.helpers.task_batches import batch_of, task_named

AROUND = 2  # steps before and after a target whose inputs are looked at
MOST_ROWS = 1_500
SHOWN = 1e-9
"""Targets are shown if less than this fraction of their variance is left unexplained."""
STEP_BY_STEP = [name for name in TASKS.builtin if {*TASKS.entry(name).modes} <= {*STEPWISE}]


@cache
def known_task(name: str) -> Task:
    """A task, read once; one of many words with a few."""
    return task_named(name, **({"vocabulary": 40} if name == "word_lm" else {}))


def unexplained(batch: Batch, outputs: int, *, later: bool) -> float:
    """The fraction of the targets' variance that a linear function of the inputs around their
    step leaves, those after the step included or not."""
    inputs, targets = np.asarray(batch.inputs_TxBxI), np.asarray(batch.targets)
    if inputs.ndim == 2:  # numbers of symbols
        inputs = np.eye(outputs)[inputs]
    inputs = inputs.astype(float)
    if targets.ndim == 2:
        targets = np.eye(outputs)[targets]
    steps, size, _ = inputs.shape
    lengths_B = np.full(size, steps) if batch.lengths_B is None else np.asarray(batch.lengths_B)
    offsets = range(-AROUND, AROUND + 1 if later else 1)
    rows = [
        (np.concatenate([inputs[t + k, b] for k in offsets] + [np.ones(1)]), targets[t, b])
        for b in range(size)
        for t in range(AROUND, int(lengths_B[b]) - AROUND)
    ]
    picked = np.random.default_rng(0).permutation(len(rows))[:MOST_ROWS]
    x, y = (np.stack([rows[n][part] for n in picked]) for part in (0, 1))
    y = y.reshape(len(y), -1)
    fitted = x @ np.linalg.lstsq(x, y, rcond=1e-10)[0]
    return float(np.sum((y - fitted) ** 2) / np.sum((y - y.mean(0)) ** 2))


@pytest.mark.parametrize("name", STEP_BY_STEP)
def test_a_task_says_whether_later_inputs_show_the_target(name: str) -> None:
    task = known_task(name)
    batch = batch_of(task, size=40 if task.input_size < 20 else 4)
    assert unexplained(batch, task.output_size, later=False) > 1_000 * SHOWN
    shown = unexplained(batch, task.output_size, later=True) < SHOWN
    assert task.causal is shown


@pytest.mark.parametrize("name", TASKS.builtin)
def test_a_backward_direction_is_refused_where_it_would_read_the_target(name: str) -> None:
    task = known_task(name)
    if task.mode not in READING_MODES:
        pytest.skip(f"no cell reads {name} step by step")
    config = experiment(f"{name}/gru")
    config.model.bidirectional = True
    frozen = finish(config)
    cell = cell_maker(frozen, task)(task.input_size, 0)
    if task.causal or isinstance(task.train, Stream):
        with pytest.raises(UsageError, match=r"^config.model.bidirectional: .*" + name):
            require_fit(frozen, build_structure(frozen), cell, task)
    else:
        assert task.causal is (False if task.mode in STEPWISE else None)
        require_fit(frozen, build_structure(frozen), cell, task)
