"""`divergence.zarr` in a run's directory: the last steps before a divergence, for xarray.

| variable | dims | holds |
| --- | --- | --- |
| dL_dh, dL_dc, ... | step, unit, time | the profiles, as in `gradients.zarr` |
| scalars | step, scalar | everything else that a recorded step measures, by name |
| gradient_norm, parameter_norm | step, parameter | norms of dL/dW and of W |
| gate_low, gate_high | gate_step, unit, gate, time | shares of gate values below 0.1, above 0.9 |
| state.params.NAME, state.opt_state.NAME, ... | state_step, ... | the whole state before a step |

`step` are the last 33 steps or fewer, of which the last one failed. `gate_step` are the
first of them, the onset of growth, and the last; cells without gates have no gate variables.
`state_step` are all of them, or the first and the last where states are large. Missing
values are NaN. The attributes say how the window was made (`exact`, `origin`: see `Window`),
and where growth began.
"""

import json
import logging
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.core.files import made_beside
from rnnexp.core.tree import named_leaves, tree_bytes
from rnnexp.run.divergence.window import Flight

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("rnnexp")
NAME = "divergence.zarr"
STATE = "state."
GRADIENTS = "grad_norm/"
SPARE = 2
"""So many times what the states take must be free on the disk."""


def keep(run: Path, flight: Flight, units: list[str]) -> dict[str, Any] | None:
    """Write a flight into a run's directory; the data of its growth.

    What a longer window of the same failed step says stays: a run that was killed after its
    divergence and is resumed there knows nothing of the steps before. A disk that is full is
    a warning: the run has diverged all the same.
    """
    path, window = run / NAME, flight.window
    try:
        if path.exists():
            with open_flight(path) as before:
                same = int(before["step"][-1]) == int(window.steps[-1])
                if same and before.sizes["step"] > len(window.steps):
                    growth: dict[str, Any] | None = json.loads(before.attrs["growth"])
                    return growth
        states = tree_bytes(window.states[int(window.steps[-1])]) * len(window.states)
        if (free := shutil.disk_usage(run).free) < SPARE * states:
            log.warning(
                "%s is not written: it takes %.1f MiB, and %.1f MiB are free on the disk",
                path, states / 2**20, free / 2**20,
            )  # fmt: skip
        else:
            _write(path, flight, units)
    except (OSError, UsageError) as error:
        log.warning("cannot write %s: %s", path, error)
    return flight.growth


def discard(run: Path) -> None:
    """Remove what an earlier attempt wrote of a divergence that is still to come, if any."""
    shutil.rmtree(run / NAME, ignore_errors=True)


def _write(path: Path, flight: Flight, units: list[str]) -> None:
    """Write the store; it appears when it is complete."""
    with made_beside(path) as part, warnings.catch_warnings():
        shutil.rmtree(part, ignore_errors=True)
        # Zarr points out that version 3 of the format does not specify it yet.
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata.*")
        dataset(flight, units).to_zarr(part, mode="w", zarr_format=3)
        shutil.rmtree(path, ignore_errors=True)


def open_flight(path: Path) -> "xarray.Dataset":
    """The Dataset in a `divergence.zarr`. Raises `UsageError` if it cannot be read."""
    import xarray

    try:
        opened: xarray.Dataset = xarray.open_zarr(path)
        return opened
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def dataset(flight: Flight, units: list[str]) -> "xarray.Dataset":
    """A flight with named dimensions."""
    import xarray

    window = flight.window
    times = next(iter(window.norms.values())).shape[2]
    scalars = sorted(window.scalars)
    variables: dict[str, Any] = {
        f"dL_d{leaf}": (("step", "unit", "time"), norms) for leaf, norms in window.norms.items()
    }
    values = [window.scalars[name].astype(np.float64) for name in scalars]
    variables["scalars"] = ("step", "scalar"), np.stack(values, 1)
    variables |= _norms(flight) | _states(flight) | _gates(flight, units, times)
    names = {"unit": units, "scalar": scalars, "parameter": _parameters(flight)}
    numbers = {
        "step": window.steps,
        "state_step": np.array(sorted(window.states), np.int32),
        "time": np.arange(times, dtype=np.int32),
    }
    if flight.gates:
        names["gate"] = _gate_names(flight)
        numbers["gate_step"] = np.array(sorted(flight.gates), np.int32)
    attributes = {
        "exact": window.exact,
        "origin": window.origin,
        "chunk_steps": flight.chunk_steps,
        "lanes": flight.lanes,
        "slot": flight.slot,
        "growth": json.dumps(flight.growth),
    }
    coordinates = numbers | {name: np.array(texts, object) for name, texts in names.items()}
    return xarray.Dataset(variables, coordinates, attributes)


def _parameters(flight: Flight) -> list[str]:
    state = next(iter(flight.window.states.values()))
    return sorted(named_leaves(state.params))


def _gate_names(flight: Flight) -> list[str]:
    found: dict[str, None] = {}
    for of_units in flight.gates.values():
        for gates in of_units.values():
            found |= dict.fromkeys(gates)
    return list(found)


def _norms(flight: Flight) -> dict[str, Any]:
    """Norms by parameter; those of parameters are NaN where the state is not kept."""
    window, names = flight.window, _parameters(flight)
    missing = np.full(len(window.steps), np.nan)
    gradients = [window.scalars.get(GRADIENTS + name, missing) for name in names]
    weights = np.full((len(window.steps), len(names)), np.nan)
    for row, step in enumerate(window.steps):
        if (state := window.states.get(int(step))) is not None:
            leaves = named_leaves(state.params)
            weights[row] = [_norm(np.asarray(leaves[name])) for name in names]
    dims = ("step", "parameter")
    return {
        "gradient_norm": (dims, np.stack(gradients, 1).astype(np.float64)),
        "parameter_norm": (dims, weights),
    }


def _norm(leaf: np.ndarray) -> float:
    largest = float(np.max(np.abs(leaf), initial=0.0))
    scale = largest if 0 < largest < np.inf else 1.0
    return scale * float(np.linalg.norm(leaf.astype(np.float64) / scale))


def _states(flight: Flight) -> dict[str, Any]:
    """Every leaf of the states, with a leading axis of steps."""
    states = [named_leaves(state) for _, state in sorted(flight.window.states.items())]
    variables: dict[str, Any] = {}
    for name, leaf in states[0].items():
        full = STATE + name.replace("/", ".")
        dims = ("state_step", *(f"{full}.{axis}" for axis in range(np.ndim(leaf))))
        variables[full] = dims, np.stack([np.asarray(state[name]) for state in states])
    return variables


def _gates(flight: Flight, units: list[str], times: int) -> dict[str, Any]:
    if not flight.gates:
        return {}
    names = _gate_names(flight)
    sides = np.full((2, len(flight.gates), len(units), len(names), times), np.nan, np.float32)
    for row, step in enumerate(sorted(flight.gates)):
        for unit, gates in flight.gates[step].items():
            for gate, shares_2xT in gates.items():
                sides[:, row, units.index(unit), names.index(gate)] = shares_2xT
    dims = ("gate_step", "unit", "gate", "time")
    return {"gate_low": (dims, sides[0]), "gate_high": (dims, sides[1])}


def restored(data: "xarray.Dataset", step: int, like: Any) -> Any:
    """The state before a step, in the form of `like`, as host arrays.

    Raises `UsageError` if the file has no such state, or its arrays are of other names,
    shapes or types.
    """
    import jax

    kept = data["state_step"].values.tolist()
    if step not in kept:
        raise UsageError(f"the state before step {step} is not recorded; those there are: {kept}")
    leaves: Mapping[str, Any] = named_leaves(like)
    arrays = []
    for name, leaf in leaves.items():
        full = STATE + name.replace("/", ".")
        wanted = f"{full} of shape {np.shape(leaf)} and type {leaf.dtype}"
        if full not in data:
            raise UsageError(f"the recorded state has no {wanted}")
        found = data[full].values[kept.index(step)]
        if found.shape != np.shape(leaf) or found.dtype != leaf.dtype:
            raise UsageError(
                f"the run's model needs {wanted}, but recorded is {found.dtype} {found.shape}"
            )
        arrays.append(found)
    return jax.tree.unflatten(jax.tree.structure(like), arrays)
