"""The command `inspect --divergence`: how a run diverged, and a replay of that step."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnexp.cli.output import print_table
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json

if TYPE_CHECKING:
    import xarray

    from rnnexp.run.divergence.replay import Replay

SHOWN = 12
"""How many steps of the window the table shows, the last ones."""


def divergence_command(known: argparse.Namespace) -> int:
    """`rnnexp inspect RUN --divergence`: explain, and replay the step that failed.

    Reads `run`, `runs_dir`, `json` and, if present, `data_dir`. Raises `UsageError` if the run
    has not diverged or its last steps were not recorded.
    """
    from rnnexp.results.load import find_run, load_run
    from rnnexp.run import zarr_append
    from rnnexp.run.divergence.replay import replay
    from rnnexp.runtime.compilation_cache import keep_programs

    keep_programs()
    run = load_run(find_run(known.run, known.runs_dir))
    data = zarr_append.load(_file(run.path, run.status["status"]))
    rows = table(data)
    again = replay(run.path, data, getattr(known, "data_dir", None))
    if known.json:
        print(to_json(_as_data(run.path, run.status, data, rows, again), indent=2))
        return 0
    print(f"{run.name}  {run.path}")
    print(f"diverged after {run.status['step']} steps")
    print(run.status["reason"])
    print(_origin_text(data))
    print_table("largest ||dL/ds_t|| of the last steps", rows[-SHOWN:])
    for line in _replay_lines(again, int(data.attrs["lanes"])):
        print(line)
    return 0


def _file(path: Path, status: str) -> Path:
    """The run's `divergence.zarr`; `UsageError` if there is none."""
    from rnnexp.run.divergence.store import NAME
    from rnnexp.run.files import shown_status

    if status != "diverged":
        raise UsageError(f"{path} has not diverged: its status is {shown_status(path, status)}")
    if not (path / NAME).exists():
        raise UsageError(
            f"{path} has diverged, but has no {NAME}: it ended before runs kept their last steps, "
            "or the file could not be written"
        )
    return path / NAME


def table(data: "xarray.Dataset") -> list[dict[str, Any]]:
    """A row for each step of the window: loss, gradient norm, largest profile norm and its place.

    If norms are not finite, the place is that of the first one in the backward pass.
    """
    import numpy as np

    from rnnexp.gradflow.nonfinite import UnitOrder, find_origin

    names = [str(name) for name in data["unit"].values]
    units = [UnitOrder(n, n.endswith("_backward"), int(n.startswith("decoder"))) for n in names]
    leaves = [str(name) for name in data.data_vars if str(name).startswith("dL_d")]
    axis, rows = str(data[leaves[0]].dims[-1]), []
    for number, step in enumerate(data["step"].values):
        scalars = data["scalars"].isel(step=number)
        norms = {leaf: data[leaf].values[number] for leaf in leaves}
        if origin := find_origin(norms, units):
            leaf, row, time = origin.leaf, names.index(origin.unit), origin.time
        else:
            leaf = max(leaves, key=lambda leaf: float(norms[leaf].max()))
            row, time = (int(n) for n in np.argwhere(norms[leaf] == norms[leaf].max())[0])
        rows.append(
            {
                "step": int(step),
                "loss": float(scalars.sel(scalar="loss")),
                "grad norm": float(scalars.sel(scalar="grad_norm")),
                "largest": float(norms[leaf][row, time]),
                "of": leaf.replace("_", "/"),
                "unit": names[row],
                axis: time,
            }
        )
    return rows


def _origin_text(data: "xarray.Dataset") -> str:
    steps, origin = data["step"].values, data.attrs["origin"]
    if len(steps) == 1:
        return f"recorded: step {steps[0]} alone; the steps before it are not known"
    text = f"recorded: steps {steps[0]} to {steps[-1]}, computed again from step {origin}"
    if data.attrs["exact"]:
        return f"{text}; they led to the run's own state, bit for bit"
    return f"{text}; they did not lead to the run's own state: all but the last may differ from it"


def _replay_lines(again: "Replay", lanes: int) -> list[str]:
    if again.differing == 0:
        return [f"replayed step {again.step}: identical ({again.compared} numbers)"]
    beside = f", {lanes} lanes side by side" if lanes > 1 else ""
    return [
        f"replayed step {again.step}: {again.differing} of {again.compared} numbers differ"
        f"{beside}; environment.json has the machine and the versions that computed the run",
        *(
            f"  {d.name}{d.place or ''}: recorded {d.recorded:.9g}, replayed {d.replayed:.9g}"
            for d in again.worst
        ),
    ]


def _as_data(
    path: Path,
    status: dict[str, Any],
    data: "xarray.Dataset",
    rows: list[dict[str, Any]],
    again: "Replay",
) -> dict[str, Any]:
    worst = [difference._asdict() for difference in again.worst]
    same = {"step": again.step, "identical": again.differing == 0}
    return {
        "run": str(path),
        **{key: status[key] for key in ("step", "reason", "divergence")},
        "exact": bool(data.attrs["exact"]),
        "origin": int(data.attrs["origin"]),
        "steps": rows,
        "replay": same | again._asdict() | {"worst": worst},
    }
