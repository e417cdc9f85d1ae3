"""Compiles a kernel for this processor when it is first needed, and caches the result.

A library holds one cell in one float type; the first run of a cell on a machine waits some
seconds for it. Its name in the user's cache folder is a hash of all that determines its
content: the sources, the compiler, JAX's headers, the processor.
"""

import ctypes
import fcntl
import hashlib
import importlib.metadata
import logging
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import jax

from rnnexp.core.files import cache_dir, made_beside
from rnnexp.runtime.cpu import processor

CELLS = {
    "lstm": "LstmCell",
    "gru": "GruCell",
    "tanh": "TanhCell",
    "relu": "ReluCell",
    "linear": "LinearCell",
}
"""The kernels and their names in C++."""
REALS = {"float32": "float", "float64": "double"}
SOURCES = Path(__file__).parent / "native"
MARCH = "RNNEXP_MARCH"
"""Environment variable: the instruction set for g++'s -march; this processor's if unset."""
log = logging.getLogger("rnnexp")


class Library(NamedTuple):
    """A kernel: the names of its calls in XLA, and the function from the hidden size to the
    numbers that the forward pass keeps for an example and step."""

    forward: str
    backward: str
    saved_size: Callable[[int], int]


class BuildError(Exception):
    """There is no kernel here; the message has the reason."""


@lru_cache(maxsize=32)
def load(cell: str, dtype: str) -> Library:
    """The kernel of a cell (of `CELLS`) for a float type (of `REALS`), built if necessary.

    Raises `BuildError` if there is no compiler, or if it fails.
    """
    library = ctypes.CDLL(str(_built(cell, dtype)))
    names = {}
    for call in ("forward", "backward"):
        names[call] = f"rnnexp_{cell}_{dtype}_{call}"
        target = jax.ffi.pycapsule(getattr(library, f"rnnexp_{call}"))
        jax.ffi.register_ffi_target(names[call], target, platform="cpu")
    library.rnnexp_saved_size.restype = ctypes.c_int64
    library.rnnexp_saved_size.argtypes = [ctypes.c_int64]
    return Library(**names, saved_size=library.rnnexp_saved_size)


@lru_cache(maxsize=32)
def problem(cell: str, dtype: str) -> str:
    """The reason why `load` fails; empty if it does not."""
    try:
        load(cell, dtype)
    except BuildError as error:
        return str(error)
    return ""


def _built(cell: str, dtype: str) -> Path:
    """The library's file, from the cache or from the compiler."""
    compiler = _compiler()
    options = [*_options(), f"-DRNNEXP_CELL={CELLS[cell]}", f"-DRNNEXP_REAL={REALS[dtype]}"]
    facts = "\0".join([*options, *_surroundings(compiler)])
    fingerprint = hashlib.sha256(facts.encode()).hexdigest()[:16]
    folder = cache_dir() / "kernels"
    file = folder / f"{cell}-{dtype}-{fingerprint}.so"
    if file.exists():
        return file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes one compiles
            if not file.exists():
                _compile([compiler, *options], file)
    except OSError as error:
        raise BuildError(f"cannot write {folder}: {error.strerror}") from error
    return file


def _compile(command: list[str], file: Path) -> None:
    log.info("compiling %s once for this machine", file.name)
    began = time.monotonic()
    command = [*command, "-isystem", jax.ffi.include_dir(), str(SOURCES / "kernel.cc")]
    with made_beside(file, f".{os.getpid()}") as part:
        done = subprocess.run([*command, "-o", str(part)], capture_output=True, text=True)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if "error" in line]
            raise BuildError(f"{command[0]} failed: {(errors or [done.stderr.strip()])[0]}")
    log.info("compiled in %.1f s: %s", time.monotonic() - began, file)


def _compiler() -> str:
    wanted = os.environ.get("CXX") or "g++"
    found = shutil.which(wanted)
    if found is None:
        raise BuildError(f"no C++ compiler ({wanted}) was found")
    return found


def _options() -> list[str]:
    options = ["-std=c++17", "-O3", f"-march={os.environ.get(MARCH, 'native')}"]
    if platform.machine() in ("x86_64", "AMD64"):
        options.append("-mprefer-vector-width=512")
    return [*options, "-shared", "-fPIC", "-fvisibility=hidden"]


@lru_cache(maxsize=1)
def _surroundings(compiler: str) -> list[str]:
    """All that determines the content of a library besides its options."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    texts = [path.read_text() for path in sorted(SOURCES.iterdir())]
    return [version, importlib.metadata.version("jaxlib"), platform.machine(), processor(), *texts]
