"""Compiles native code for this processor when it is first needed, and caches the result.

A kernel's library holds one cell in one float type; the first run of a cell on a machine waits some
seconds for it. Its name in the user's cache folder has two hashes: one of all that determines
its content (the sources, the compiler, JAX's headers, the processor), and one of that content,
which is compared before it is loaded.
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
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import jax

from rnnexp.core.errors import first_line
from rnnexp.core.files import file_sha256, scratch_folder
from rnnexp.runtime.cache_folder import CacheFolderError, code_folder
from rnnexp.runtime.cpu import processor
from rnnexp.scan.kernels.cells import CELLS

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
    """The kernel of a cell (of `cells.CELLS`) for a float type (of `REALS`), built if necessary.

    Raises `BuildError` if there is no compiler, if it fails, or if the system refuses the result.
    """
    library = _built(cell, dtype)
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


def _built(cell: str, dtype: str) -> ctypes.CDLL:
    options = (f"-DRNNEXP_CELL={CELLS[cell].native}", f"-DRNNEXP_REAL={REALS[dtype]}")
    return native_library(f"{cell}-{dtype}", SOURCES / "kernel.cc", options)


def native_library(name: str, source: Path, options: Sequence[str] = ()) -> ctypes.CDLL:
    """A library of C++ by its source, from the cache or from the compiler.

    Without a cache folder that can be trusted it is compiled for this process alone, so that
    the folder has no part in which numbers come out. It may include what lies beside it and the
    kernels' sources. Raises `BuildError`, as `load` does.
    """
    compiler = _compiler()
    options = [*_options(), *options]
    facts = "\0".join([*options, *_surroundings(compiler, source.parent)])
    stem = f"{name}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"
    command = [
        compiler,
        *options,
        "-isystem",
        jax.ffi.include_dir(),
        "-I",
        str(SOURCES),
        str(source),
    ]
    try:
        try:
            return _opened(_kept(code_folder("kernels"), stem, command))
        except (OSError, CacheFolderError) as error:
            why = f"for this process alone: {_reason(error)}"
            with tempfile.TemporaryDirectory(prefix="rnnexp-kernel-") as private:
                return _opened(_compiled(Path(private), stem, command, why))
    except OSError as error:
        raise BuildError(f"it cannot be built: {_reason(error)}") from error


def _opened(file: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(file))
    except OSError as error:
        raise BuildError(f"it cannot be loaded: {first_line(error)}") from error


def _reason(error: OSError | CacheFolderError) -> str:
    if isinstance(error, CacheFolderError):
        return str(error)
    return f"{error.strerror}: {error.filename}" if error.filename else first_line(error)


def _kept(folder: Path, stem: str, command: list[str]) -> Path:
    """The library's file in the cache; it is compiled if there is none whose content is whole."""
    if (file := _whole(folder, stem)) is not None:
        return file
    with open(folder / "lock", "w") as lock:
        with suppress(OSError):  # of several processes one compiles; without locks, each does
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (file := _whole(folder, stem)) is not None:
            return file
        why = "once for this machine"
        for damaged in _candidates(folder, stem):
            why = f"anew: {damaged} was cut short or altered"
            shutil.rmtree(damaged) if damaged.is_dir() else damaged.unlink()
        return _compiled(folder, stem, command, why)


def _candidates(folder: Path, stem: str) -> list[Path]:
    return sorted(folder.glob(f"{stem}-*.so"))


def _whole(folder: Path, stem: str) -> Path | None:
    """The file whose content has the SHA-256 of its name.

    A name and its content are put in place together, by one rename. A hash in a file of its
    own could be there without its library, or with another.
    """
    for file in _candidates(folder, stem):
        with suppress(OSError):  # another process removes it, or it cannot be read
            if file.stem == f"{stem}-{file_sha256(file)}":
                return file
    return None


def _compiled(folder: Path, stem: str, command: list[str], why: str) -> Path:
    log.info("compiling %s %s", stem, why)
    began = time.monotonic()
    with scratch_folder(folder) as scratch:
        part = scratch / f"{stem}.so"
        done = subprocess.run([*command, "-o", str(part)], capture_output=True, text=True)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if "error" in line]
            raise BuildError(f"{command[0]} failed: {(errors or [done.stderr.strip()])[0]}")
        part.chmod(0o700)
        file = part.rename(folder / f"{stem}-{file_sha256(part)}.so")
    log.info("compiled in %.1f s: %s", time.monotonic() - began, file)
    return file


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


@lru_cache(maxsize=4)
def _surroundings(compiler: str, folder: Path) -> list[str]:
    """All that determines the content of a library besides its options."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    texts = [
        path.read_text() for of in dict.fromkeys((SOURCES, folder)) for path in sorted(of.iterdir())
    ]
    return [version, importlib.metadata.version("jaxlib"), platform.machine(), processor(), *texts]
