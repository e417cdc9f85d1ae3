"""What an export has to hold, read from the run's own files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.config.schema import from_saved
from rnnexp.results.load import Run
from rnnexp.run.checkpoint import Checkpoints, Progress
from rnnexp.run.files import saved_config
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import make_plan
from tests.helpers.logged_runs import STEPS

SLOPES = {"layer_0": [-0.1, -0.2, -0.3, -0.4], "layer_1": [0.1, 0.0, -0.5, -0.05]}


def needed(package: str) -> None:
    """Skip the test where the extra is not installed."""
    pytest.importorskip(package, reason=f"rnnexp's extra {package} is not installed")


def figures(run: Run) -> dict[str, dict[int, float]]:
    """What has to be found again: values by name and step, read from the run's own file."""
    found: dict[str, dict[int, float]] = {}
    for line in (run.path / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        kind, step = row.pop("kind"), row.pop("step")
        row.pop("time")
        for name, value in row.items():
            steps = (0, STEPS[-1] + 1) if kind in ("baseline", "reference") else (step,)
            for at in steps:
                found.setdefault(f"{kind}/{name}", {})[at] = float(value)
    return found


def write_checkpoints(path: Path, steps: Mapping[str, int]) -> None:
    """Checkpoints of a run that was written without training: by kind the updates before it.

    The weights are normal numbers drawn for each.
    """
    plan = make_plan(from_saved(saved_config(path)), data_dir=None, chunk_steps=1)
    state, store = initial_state(plan), Checkpoints(path / "checkpoints")
    for kind, step in steps.items():
        rng = np.random.default_rng(step)

        def drawn(leaf: Any, rng: np.random.Generator = rng) -> Any:
            return jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype)

        params = jax.tree.map(drawn, state.params)
        now = jnp.asarray(step, jnp.int32)
        store.save(kind, state._replace(params=params, step=now), Progress(step=step))
    store.close()
