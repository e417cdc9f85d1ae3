"""The environment of a run: versions, device, source revision."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("rnnexp", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "zarr")
"""The packages on which a run's numbers depend."""


def describe() -> dict[str, Any]:
    """The environment of a run, to reproduce it."""
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "all_packages": _all_packages(),
        "command": sys.argv,
        "host": platform.node(),
        "cores": len(os.sched_getaffinity(0)),
        "device": {"platform": device.platform, "kind": device.device_kind},
        "source_revision": source_revision(Path(__file__).parent),
    }


def source_revision(folder: Path) -> str | None:
    """Git commit of the folder, marked `+changes` if modified.

    Outside a checkout, the start of the commit that was installed; None if that is unknown.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    # an installed copy may lie inside some other project's checkout
    if commit is None or _git(folder, "ls-files", "--error-unmatch", "environment.py") is None:
        found = re.search(r"\+g([0-9a-f]{7,40})(\.d[0-9]+)?$", _version("rnnexp") or "")
        return None if found is None else found[1] + ("+changes" if found[2] else "")
    return commit + ("+changes" if _git(folder, "status", "--porcelain", "--", ".") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _all_packages() -> dict[str, str]:
    """The version of every installed distribution, by name.

    It is read from the names of their folders, which is a hundred times as fast as to read
    their metadata.
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        if os.path.isdir(folder):
            for entry in os.listdir(folder):
                stem, dot, _ = entry.partition(".dist-info")
                name, dash, number = stem.rpartition("-")
                if dot and dash:
                    found.setdefault(name, number)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
