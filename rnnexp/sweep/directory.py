"""A sweep's directory: its name, its `sweep.json`, and what a stranger's may not do.

A sweep's directory may come from another person. Its files name no code that is run and no
place outside the runs directory in which it lies.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UsageError
from rnnexp.core.files import file_sha256
from rnnexp.run.files import read_json


def read_header(sweep_dir: Path) -> dict[str, Any]:
    """The content of `sweep.json`."""
    if (header := read_json(sweep_dir / "sweep.json")) is None:
        raise UsageError(f"{sweep_dir} is not a sweep's directory: it has no sweep.json")
    return header


def runs_dir_of(sweep_dir: Path) -> Path:
    """The directory below which a sweep's runs lie, and the sweep's own directory.

    Raises `UsageError` if `sweep.json` names another.
    """
    named = (read_json(sweep_dir / "sweep.json") or {}).get("runs_dir")
    if not isinstance(named, str):
        raise UsageError(
            f"{sweep_dir}/sweep.json does not say where the runs are (runs_dir): this is not a "
            "sweep's directory"
        )
    runs_dir = sweep_dir / named
    if not sweep_dir.resolve().is_relative_to(runs_dir.resolve()):
        raise UsageError(
            f"{sweep_dir}/sweep.json names the runs directory {runs_dir.resolve()}, in which the "
            "sweep does not lie"
        )
    return runs_dir


def sweep_folder(runs_dir: Path, name: str) -> Path:
    """The directory of a sweep of that name; `UsageError` for a name that is no folder's."""
    if name in ("", ".", "..") or {"/", "\0"} & set(name) or len(os.fsencode(name)) > 200:
        raise UsageError(
            f"--name {name!r}: a sweep's name is that of a folder in {runs_dir / 'sweeps'}: "
            "no '/', and at most 200 bytes"
        )
    return runs_dir / "sweeps" / name


def is_run_name(name: str) -> bool:
    """Whether a text is TASK/CELL/RUN_ID, a place below the runs directory."""
    parts = name.split("/")
    return len(parts) == 3 and not {"", ".", ".."} & set(parts) and "\0" not in name


def with_hashes(files: Sequence[str]) -> tuple[str, ...]:
    """Files as `SHA256:PATH`, the path absolute."""
    paths = [Path(file).absolute() for file in files]
    return tuple(f"{file_sha256(path)}:{path}" for path in paths)


def require_imports(sweep_dir: Path, given: Sequence[str]) -> None:
    """Raise `UsageError` unless the given files, `SHA256:PATH`, are those of the sweep's plan."""
    planned_with = [str(file) for file in read_header(sweep_dir).get("imports", [])]
    known = {file.partition(":")[0] for file in given}
    for file in planned_with:
        digest, _, path = file.rpartition(":")  # older plans have the path alone
        if digest and digest not in known:
            raise UsageError(
                f"{sweep_dir} was planned with --import {path} (SHA-256 {digest[:12]}...). Name "
                "that file, unchanged, on the command line if its code is to run"
            )
        if not digest and path not in {name.partition(":")[2] for name in given}:
            raise UsageError(
                f"{sweep_dir} was planned with --import {path}. Name it on the command line if "
                "its code is to run"
            )


def cancelled(sweep_dir: Path) -> bool:
    """Whether the sweep is asked to stop."""
    return (sweep_dir / "cancel").exists()
