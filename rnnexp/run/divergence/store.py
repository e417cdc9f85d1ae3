"""`divergence.zarr` in a run's directory: the last steps before a divergence, for xarray.

| variable | dims | holds |
| --- | --- | --- |
| dL_dh, dL_dc, ... | step, unit, time | the profiles, as in `gradients.zarr` |
| scalars | step, scalar | everything else that a recorded step measures, by name |
| gradient_norm, parameter_norm | step, parameter | norms of dL/dW and of W |
| gate_low, gate_high | gate_step, unit, gate, time | fractions of gates below 0.1, above 0.9 |
| state.params.NAME, state.opt_state.NAME, ... | state_step, ... | the whole state before a step |

`time` has the name of the cell's axis. `step` has the last 33 steps or fewer, of which the last
one failed. `gate_step` has the first of them, the onset of growth and the last; cells without
gates have no gate variables.
`state_step` has all of them, or the first and the last if states are large. Missing values
are NaN. The attributes say how the window was made (`exact`, `origin`: see `Window`), with
which program (`chunk_steps`, `lanes`, `slot`: see `Recording`), and where growth began.
"""

import json
import logging
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnexp.core.axis import TIME
from rnnexp.core.errors import UsageError
from rnnexp.core.files import made_beside
from rnnexp.core.tree import named_leaves, tree_bytes
from rnnexp.run import zarr_append
from rnnexp.run.divergence.window import Recording

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("rnnexp")
NAME = "divergence.zarr"
STATE = "state."
GRADIENTS = "grad_norm/"
SPARE = 2
"""The disk must have this many times the bytes of the states free."""


class DivergenceStore:
    """The `divergence.zarr` of one run.

    Args:
      run: the run's directory.
      units: the names of the model's units, in the order of the profiles' rows.
      axis: what a step of the profiles is.
    """

    def __init__(self, run: Path, units: list[str], axis: str = TIME):
        self.run, self.units, self.axis = run, units, axis

    def keep(self, recording: Recording) -> dict[str, Any] | None:
        """Write a recording, unless a longer window of the same failed step is there.

        A run that was killed after its divergence, and is resumed there, no longer knows the
        steps before; so the longer window stays. A full disk is only a warning, because the
        run has diverged all the same.

        Returns:
          Where growth began, by the window that stays: the data of `GradientGrowth` and the gate.
        """
        path, window = self.run / NAME, recording.window
        try:
            if path.exists():
                with zarr_append.opened(path) as before:
                    same = int(before["step"][-1]) == int(window.steps[-1])
                    if same and before.sizes["step"] > len(window.steps):
                        growth: dict[str, Any] | None = json.loads(before.attrs["growth"])
                        return growth
            states = tree_bytes(window.states[int(window.steps[-1])]) * len(window.states)
            if (free := shutil.disk_usage(self.run).free) < SPARE * states:
                log.warning(
                    "%s is not written: it takes %.1f MiB, and %.1f MiB are free on the disk",
                    path, states / 2**20, free / 2**20,
                )  # fmt: skip
            else:
                _write(path, recording, self.units, self.axis)
        except (OSError, UsageError) as error:
            log.warning("cannot write %s: %s", path, error)
        return recording.growth

    def discard(self) -> None:
        """Remove what an earlier attempt recorded of a divergence that has not happened yet."""
        shutil.rmtree(self.run / NAME, ignore_errors=True)


def _write(path: Path, recording: Recording, units: list[str], axis: str) -> None:
    """Write the store; it appears when it is complete."""
    with made_beside(path) as part, warnings.catch_warnings():
        shutil.rmtree(part, ignore_errors=True)
        # Zarr points out that version 3 of the format does not specify it yet.
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata.*")
        dataset(recording, units, axis).to_zarr(part, mode="w", zarr_format=3)
        shutil.rmtree(path, ignore_errors=True)


def dataset(recording: Recording, units: list[str], axis: str = TIME) -> "xarray.Dataset":
    """A recording with named dimensions; that of steps has the name of the cell's axis."""
    import xarray

    window = recording.window
    times = next(iter(window.norms.values())).shape[2]
    scalars = sorted(window.scalars)
    variables: dict[str, Any] = {
        f"dL_d{leaf}": (("step", "unit", axis), norms) for leaf, norms in window.norms.items()
    }
    values = [window.scalars[name].astype(np.float64) for name in scalars]
    variables["scalars"] = ("step", "scalar"), np.stack(values, 1)
    variables |= _norms(recording) | _states(recording) | _gates(recording, units, times, axis)
    names = {"unit": units, "scalar": scalars, "parameter": _parameters(recording)}
    numbers = {
        "step": window.steps,
        "state_step": np.array(sorted(window.states), np.int32),
        axis: np.arange(times, dtype=np.int32),
    }
    if recording.gates:
        names["gate"] = _gate_names(recording)
        numbers["gate_step"] = np.array(sorted(recording.gates), np.int32)
    attributes = {
        "exact": window.exact,
        "origin": window.origin,
        "chunk_steps": recording.chunk_steps,
        "lanes": recording.lanes,
        "slot": recording.lane,
        "growth": json.dumps(recording.growth),
    }
    coordinates = numbers | {name: np.array(texts, object) for name, texts in names.items()}
    return xarray.Dataset(variables, coordinates, attributes)


def _parameters(recording: Recording) -> list[str]:
    state = next(iter(recording.window.states.values()))
    return sorted(named_leaves(state.params))


def _gate_names(recording: Recording) -> list[str]:
    names: dict[str, None] = {}
    for of_units in recording.gates.values():
        for gates in of_units.values():
            names |= dict.fromkeys(gates)
    return list(names)


def _norms(recording: Recording) -> dict[str, Any]:
    """Norms of dL/dW and W by parameter; those of W are NaN where the state is not kept."""
    window, names = recording.window, _parameters(recording)
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


def _states(recording: Recording) -> dict[str, Any]:
    """Every leaf of the states, with a leading axis of steps."""
    states = [named_leaves(state) for _, state in sorted(recording.window.states.items())]
    variables: dict[str, Any] = {}
    for name, leaf in states[0].items():
        full = STATE + name.replace("/", ".")
        dims = ("state_step", *(f"{full}.{axis}" for axis in range(np.ndim(leaf))))
        variables[full] = dims, np.stack([np.asarray(state[name]) for state in states])
    return variables


def _gates(recording: Recording, units: list[str], times: int, axis: str) -> dict[str, Any]:
    if not recording.gates:
        return {}
    names = _gate_names(recording)
    sides = np.full((2, len(recording.gates), len(units), len(names), times), np.nan, np.float32)
    for row, step in enumerate(sorted(recording.gates)):
        for unit, gates in recording.gates[step].items():
            for gate, fractions_2xT in gates.items():
                sides[:, row, units.index(unit), names.index(gate)] = fractions_2xT
    dims = ("gate_step", "unit", "gate", axis)
    return {"gate_low": (dims, sides[0]), "gate_high": (dims, sides[1])}


def restored(data: "xarray.Dataset", step: int, like: Any) -> Any:
    """The recorded state before a step, in the form of `like`, as host arrays.

    Raises `UsageError` if the file has no such state, or if names, shapes or types of its
    arrays are not those of `like`.
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
