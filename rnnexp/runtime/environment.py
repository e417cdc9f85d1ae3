"""The environment of a run: versions, device, source revision."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("rnnexp", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "zarr")


def describe() -> dict[str, Any]:
    """The environment of a run, to reproduce it."""
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": {"platform": device.platform, "kind": device.device_kind},
        "source_revision": source_revision(Path(__file__).parent),
    }


def source_revision(folder: Path) -> str | None:
    """Git commit of the folder, marked `+changes` if modified; None outside a checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    # an installed copy may lie inside some other project's checkout
    if commit is None or _git(folder, "ls-files", "--error-unmatch", "environment.py") is None:
        return None
    return commit + ("+changes" if _git(folder, "status", "--porcelain", "--", ".") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
