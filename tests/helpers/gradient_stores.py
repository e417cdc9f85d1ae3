"""Gradient profiles of made-up numbers, logged as a run does, and stores of older versions."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rnnexp.run import zarr_append
from rnnexp.run.gradient_store import GradientLog


def write(path: Path, steps: Iterable[int], *, resume_at: int | None = None) -> None:
    """Log made-up profiles of these steps, as a process does that begins or resumes."""
    path.parent.mkdir(exist_ok=True)
    log = GradientLog(path, ["a", "b"])
    if resume_at is not None:
        log.truncate(resume_at)
    for step in steps:
        draw = np.random.default_rng(step).random((2, 2, 5), np.float32)
        log.append(step, {"h": draw[0], "c": draw[1]})
    log.flush()


def make_older(path: Path) -> None:
    """Make a store anew as versions wrote it that called a unit `layer`."""
    data = zarr_append.load(path)
    units = [str(name) for name in data["unit"].values]
    shutil.rmtree(path)
    variables = {}
    for name, variable in data.variables.items():
        dims = ["layer" if dim == "unit" else str(dim) for dim in variable.dims]
        attrs = variable.attrs | ({"unit_names": units} if variable.ndim == 3 else {})
        variables[str(name)] = zarr_append.Labelled(dims, variable.values, attrs)
    del variables["unit"]
    variables["layer"] = zarr_append.Labelled(["layer"], np.arange(len(units), dtype=np.int32))
    zarr_append.create(path, variables)
