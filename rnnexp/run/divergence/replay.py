"""Takes the step at which a run diverged once more, from its directory alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.config.schema import from_saved
from rnnexp.core.errors import UsageError
from rnnexp.run.divergence.store import STATE, restored
from rnnexp.run.files import read_json
from rnnexp.runtime.mesh import prepare
from rnnexp.train.compiled import Programs, Slots, initial_state
from rnnexp.train.lanes import Layout
from rnnexp.train.plan import make_plan

if TYPE_CHECKING:
    import xarray


class Difference(NamedTuple):
    """A number that the replay did not give again, and where it stands in its array."""

    name: str
    place: list[int]
    recorded: float
    replayed: float


class Replay(NamedTuple):
    """The replayed step, how many numbers were compared, how many differ in their bits or in
    being NaN, and of each name that has any the one that differs most."""

    step: int
    compared: int
    differing: int
    worst: list[Difference]


def replay(run: Path, data: "xarray.Dataset", data_dir: Path | None = None) -> Replay:
    """Build the run's own program, take the failed step from its recorded state, and compare.

    The program is that of the run's lanes: as many side by side as trained then. On the same
    machine with the same versions the numbers are identical.

    Args:
      run: the run's directory, for its `config.json`.
      data: the Dataset of its `divergence.zarr`.
      data_dir: where to look for data files first.

    Raises:
      UsageError: the configuration or the recorded state does not fit this version, or the
        run computed in float64 and this process does not.
    """
    saved = read_json(run / "config.json")
    if saved is None:
        raise UsageError(f"{run} is not a run's directory: it has no config.json")
    config = from_saved(saved)
    prepare(config.devices)
    floats = {v.dtype for name, v in data.data_vars.items() if str(name).startswith(STATE)}
    if (
        np.dtype(np.float64) in floats
        and not jax.dtypes.canonicalize_dtype(np.float64) != np.float64
    ):
        raise UsageError(f"{run} computed in float64; set JAX_ENABLE_X64=1 to replay it")
    lanes, slot = int(data.attrs["lanes"]), int(data.attrs["slot"]) % int(data.attrs["lanes"])
    plan = make_plan(config, data_dir=data_dir, chunk_steps=int(data.attrs["chunk_steps"]))
    step = int(data["step"][-1])
    state = restored(data, step, jax.device_get(initial_state(plan)))
    slots = Slots(Programs(plan, Layout(1, lanes)))
    slots.put(slot, plan, state._replace(diverged=jnp.zeros((), bool)))
    records = slots.alone(slot, step + 1, 1)
    last = data.isel(step=-1)
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {
        f"dL_d{leaf}": (last[f"dL_d{leaf}"].values, np.asarray(norms[0]))
        for leaf, norms in records.norms.items()
    }
    for name, values in records.scalars.items():
        recorded = last["scalars"].sel(scalar=name).values
        pairs[name] = recorded, np.asarray(values[0]).astype(np.float64)
    return _compared(step, pairs)


def _compared(step: int, pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> Replay:
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
