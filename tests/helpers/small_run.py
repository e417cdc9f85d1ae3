"""A small experiment that uses every file of a run, and how two of its runs compare."""

from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import experiment, finish
from rnnexp.core.tree import named_leaves
from rnnexp.results.load import load_run
from rnnexp.run.checkpoint import Checkpoints
from rnnexp.sweep.program_groups import signature
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import make_plan
from rnnexp.train.program import TrainState


def small_config(**changes: Any) -> FrozenConfigDict:
    """adding/lstm, two layers, 150 steps; `train__batch_size=4` changes a key."""
    config = experiment("adding/lstm")
    values = {
        "task.length_steps": 12,
        "cell.hidden_size": 6,
        "model.num_layers": 2,
        "train.batch_size": 8,
        "train.duration_steps": 150,
        "eval.every_steps": 30,
        "eval.examples": 64,
        "eval.batch_size": 32,
        "checkpoint.every_steps": 25,
        "record.every_steps": 2,
        "optimizer.schedule": "cosine",
        "optimizer.warmup_steps": 10,
    }
    values |= {key.replace("__", "."): value for key, value in changes.items()}
    config.update_from_flattened_dict(values)
    return finish(config)


FORMS: dict[str, TrainState] = {}
"""States before the first step, by the program that trains them."""


def form_of(config: FrozenConfigDict) -> TrainState:
    """A state of a run's form; runs that share a program share it."""
    name = signature(config)
    if name not in FORMS:
        FORMS[name] = initial_state(make_plan(config, data_dir=None, chunk_steps=2))
    return FORMS[name]


def assert_same_runs(one: Path, two: Path, config: FrozenConfigDict) -> None:
    """Bit-identical parameters, optimiser states, gradient arrays, and metrics but for time."""
    left, right = load_run(one), load_run(two)
    for run in (left, right):
        for row in [*run.metrics, run.status]:
            row.pop("time")
    assert left.metrics == right.metrics
    assert left.status == right.status
    np.testing.assert_array_equal(left.steps, right.steps)
    assert left.norms.keys() == right.norms.keys()
    for leaf in left.norms:
        np.testing.assert_array_equal(left.norms[leaf], right.norms[leaf])
    like = form_of(config)
    for which in ("last", "best"):
        states = []
        for path in (one, two):
            checkpoints = Checkpoints(path / "checkpoints")
            restored = checkpoints.restore(which, like)
            checkpoints.close()
            states.append(restored)
        first, second = states
        if first is None or second is None:  # there is none before the first validation
            assert first is second
            continue
        assert first[1] == second[1]
        leaves = [named_leaves(first[0]), named_leaves(second[0])]
        for name in leaves[0]:
            np.testing.assert_array_equal(leaves[0][name], leaves[1][name], err_msg=name)
