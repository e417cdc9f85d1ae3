"""Computes the failed step of a diverged run again, from the run's directory alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import from_saved
from rnnexp.core.errors import UsageError
from rnnexp.run.divergence.store import STATE, restored
from rnnexp.run.files import saved_config
from rnnexp.run.sources import find_sources, require_same
from rnnexp.runtime.mesh import prepare
from rnnexp.train.compiled import LaneStates, Programs, initial_state
from rnnexp.train.lanes import LaneLayout
from rnnexp.train.plan import make_plan
from rnnexp.train.step_metrics import Records

if TYPE_CHECKING:
    import xarray


class Difference(NamedTuple):
    """A number that the replay did not reproduce, and its index in its array."""

    name: str
    place: list[int]
    recorded: float
    replayed: float


class Replay(NamedTuple):
    """How a replay compares with the recording.

    Attributes:
      step: the replayed step.
      compared, differing: how many numbers were compared, and how many of them differ: in
        their value, or in being NaN.
      worst: of each name with differing numbers, the one that differs most.
    """

    step: int
    compared: int
    differing: int
    worst: list[Difference]


def replay(run: Path, data: "xarray.Dataset", data_dir: Path | None = None) -> Replay:
    """Build the run's own program, take the failed step from its recorded state, and compare.

    The program has as many lanes side by side as the run had when it trained. On the same
    machine with the same versions the numbers are identical.

    Args:
      run: the run's directory, for its `config.json`.
      data: the Dataset of its `divergence.zarr`.
      data_dir: where to look for data files first.

    Raises:
      UsageError: the configuration or the recorded state does not fit this version, the run's
        code or data is no longer that with which it was made, or the
        run computed in float64 and this process does not.
    """
    config = from_saved(saved_config(run))
    prepare(config.devices)
    floats = {v.dtype for name, v in data.data_vars.items() if str(name).startswith(STATE)}
    here = jax.dtypes.canonicalize_dtype(np.float64)
    if np.dtype(np.float64) in floats and here != np.float64:
        raise UsageError(f"{run} computed in float64; set JAX_ENABLE_X64=1 to replay it")
    step, last = int(data["step"][-1]), data.isel(step=-1)
    records = _replayed(run, config, data, step, data_dir)
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {
        f"dL_d{leaf}": (last[f"dL_d{leaf}"].values, np.asarray(norms[0]))
        for leaf, norms in records.norms.items()
    }
    for name, values in records.scalars.items():
        recorded = last["scalars"].sel(scalar=name).values
        pairs[name] = recorded, np.asarray(values[0]).astype(np.float64)
    return _compared(step, pairs)


def _replayed(
    run: Path, config: FrozenConfigDict, data: "xarray.Dataset", step: int, data_dir: Path | None
) -> Records:
    """The record of a step, taken from its recorded state by the run's own program."""
    lanes, lane = int(data.attrs["lanes"]), int(data.attrs["slot"]) % int(data.attrs["lanes"])
    sources, task = find_sources(config, data_dir)
    require_same(run, sources)
    chunk_steps = int(data.attrs["chunk_steps"])
    plan = make_plan(config, data_dir=data_dir, chunk_steps=chunk_steps, task=task)
    state = restored(data, step, jax.device_get(initial_state(plan)))
    lane_states = LaneStates(Programs(plan, LaneLayout(1, lanes)))
    lane_states.put(lane, plan, state._replace(diverged=jnp.zeros((), bool)))
    return lane_states.alone(lane, step + 1, 1)


def _compared(step: int, pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> Replay:
    """Compare the recorded and the replayed array of every name."""
    compared = differing = 0
    worst = []
    for name, (recorded, replayed) in pairs.items():
        unlike = ~((recorded == replayed) | (np.isnan(recorded) & np.isnan(replayed)))
        compared, differing = compared + unlike.size, differing + int(unlike.sum())
        if unlike.any():
            with np.errstate(invalid="ignore", over="ignore"):
                gaps = np.abs(replayed.astype(np.float64) - recorded.astype(np.float64))
            gaps = np.where(unlike, np.where(np.isnan(gaps), np.inf, gaps), -1.0)
            index = np.unravel_index(int(np.argmax(gaps)), gaps.shape)
            at: Any = tuple(int(n) for n in index)
            worst.append(Difference(name, list(at), float(recorded[at]), float(replayed[at])))
    return Replay(step, compared, differing, worst)
