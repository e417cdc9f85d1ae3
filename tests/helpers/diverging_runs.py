"""A small run that diverges, and what is recorded of it."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray
from ml_collections import FrozenConfigDict

from rnnexp.cli.divergence import divergence_command
from rnnexp.config.schema import experiment, finish
from rnnexp.core.tree import named_leaves
from rnnexp.run.divergence import store
from rnnexp.run.run import CHUNK_STEPS, run
from rnnexp.train.compiled import LaneStates, Programs, initial_state
from rnnexp.train.plan import make_plan

KEYS: dict[str, Any] = {
    "task.length_steps": 12,
    "cell.hidden_size": 6,
    "train.batch_size": 8,
    "train.duration_steps": 150,
    "eval.every_steps": 30,
    "eval.examples": 16,
    "eval.batch_size": 16,
    "checkpoint.every_steps": 25,
    "record.every_steps": 3,
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 1.3,
    "optimizer.warmup_steps": 60,
    "clip.name": "none",
}


FAILS_AT_ONCE: dict[str, Any] = {"optimizer.learning_rate": 1e30, "optimizer.warmup_steps": 0}


def config(name: str = "adding/gru", **changes: Any) -> FrozenConfigDict:
    """A small run whose learning rate grows until it diverges, after more than 50 steps."""
    experiment_ = experiment(name)
    for unit in ("steps", "epochs", "examples"):
        experiment_.train[f"duration_{unit}"] = experiment_.eval[f"every_{unit}"] = None
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    keys = {k: v for k, v in (KEYS | changes).items() if k != "task.length_steps" or "add" in name}
    experiment_.update_from_flattened_dict(keys)
    return finish(experiment_)


def diverged_run(runs_dir: Path) -> Path:
    """The directory of a run that diverged after more than 50 steps."""
    result = run(config(), runs_dir=runs_dir)
    assert result.status == "diverged"
    assert result.step > 50
    return result.path


def flight_of(path: Path) -> xarray.Dataset:
    """What a run recorded, in memory."""
    with xarray.open_zarr(path / store.NAME) as data:
        loaded: xarray.Dataset = data.load()
        return loaded


def assert_states_of_the_run(data: xarray.Dataset, of_run: FrozenConfigDict) -> None:
    """Every recorded state is that of the program stepped one step at a time, to the bit."""
    plan = make_plan(of_run, data_dir=None, chunk_steps=CHUNK_STEPS)
    slots = LaneStates(Programs(plan))
    slots.put(0, plan, initial_state(plan))
    steps = data["state_step"].values.tolist()
    for step in range(steps[-1] + 1):
        slots.settle()
        if step in steps:
            lane = slots.lane(slots.state, 0)
            for name, leaf in named_leaves(lane).items():
                stored = data[f"state.{name.replace('/', '.')}"].values[steps.index(step)]
                np.testing.assert_array_equal(stored, leaf, err_msg=f"{name}, step {step}")
                assert stored.dtype == leaf.dtype
        slots.alone(0, step + 1, plan.record_steps)
    assert slots.diverged() == [True]


def printed(path: Path) -> Any:
    """What `inspect --divergence --json` finds, without printing it."""
    import io
    from contextlib import redirect_stdout

    with redirect_stdout(io.StringIO()) as out:
        known = argparse.Namespace(run=str(path), runs_dir=path.parent, json=True)
        assert divergence_command(known) == 0
    return json.loads(out.getvalue())
