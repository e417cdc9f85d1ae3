"""Programs that XLA has compiled, kept for later processes in the user's cache folder.

JAX does that (its persistent compilation cache); here it is switched on, for the commands and
the processes that they start, not by importing the package. `JAX_COMPILATION_CACHE_DIR` puts
it elsewhere, `JAX_ENABLE_COMPILATION_CACHE=false` switches it off.

An entry is named after all that decides its content, and its folder after the processor, as
machines may share a home. Any number of processes may use the folder at once: whoever has
compiled what is there already leaves it. JAX writes entries in place, so one that is cut short
by a kill, or is being written, is read as damaged: JAX warns, and compiles. `tidy` removes it.

JAX's own limit of the folder's size (`jax_compilation_cache_max_size`) is not used. In version
0.10.2 it keeps damaged entries for ever. A process killed between writing an entry and its date
leaves a folder to which no process can add again; so does one filled without the limit. Each
new entry costs a look at all others: 0.44 s among 3,000, where `tidy` takes 0.3 s once.
"""

import hashlib
import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

from rnnexp.core.files import cache_dir
from rnnexp.runtime.cpu import processor

LARGEST_BYTES = 1 << 29
SHORTEST_COMPILE_S = 0.0
CHECKED = "checked"
"""The file whose date says until when entries were looked at."""
WRITING_S = 1.0
"""An entry younger than that may be one that is being written."""
ZSTD = b"\x28\xb5\x2f\xfd"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
log = logging.getLogger("rnnexp")


def keep_programs() -> None:
    """Keep what this process compiles, and take what others have kept.

    Call it before JAX compiles. What the user's environment says of JAX's cache stands; a
    folder that cannot be written is said so in a line, and nothing is kept.
    """
    _silence()
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    import jax

    settings: Any = jax.config
    if not settings.jax_enable_compilation_cache:
        return
    folder = programs_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tidy(folder)
    except OSError as error:
        log.info("compiled programs are not kept: cannot write %s: %s", folder, error.strerror)
        return
    settings.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        settings.update("jax_persistent_cache_min_compile_time_secs", SHORTEST_COMPILE_S)


def quickly() -> dict[str, Any]:
    """Options that compile a program in half the time, for one that runs once."""
    import jax

    fewer: Any = jax.config.read("jax_disable_most_optimizations")
    return {} if fewer else {"xla_backend_optimization_level": 1}


def programs_dir() -> Path:
    """Where programs for this processor are kept."""
    digest = hashlib.sha256(processor().encode()).hexdigest()
    return cache_dir() / "programs" / digest[:16]


def tidy(folder: Path, largest_bytes: int = LARGEST_BYTES) -> None:
    """Remove damaged entries, and of the others those not used for longest until the rest fits.

    Only entries that are new since the last call are read. Of several processes that do this
    at once, each may find that another was quicker. Raises `OSError` in a folder that cannot
    be written.
    """
    mark = folder / CHECKED
    before = mark.stat().st_mtime if mark.exists() else 0.0
    mark.touch()
    now = mark.stat().st_mtime  # a file server has a clock of its own
    entries = []
    for file in folder.glob("*-cache"):
        try:
            facts = file.stat()
            settled = facts.st_mtime < now - WRITING_S
            if settled and facts.st_mtime >= before - WRITING_S and not _whole(file.read_bytes()):
                log.info("removed a compiled program that was cut short: %s", file)
                file.unlink()
                continue
        except FileNotFoundError:
            continue
        entries.append((max(facts.st_atime, facts.st_mtime), facts.st_size, file))
    total = sum(size for _, size, _ in entries)
    for _, size, file in sorted(entries):
        if total <= largest_bytes:
            break
        file.unlink(missing_ok=True)
        total -= size


def _whole(entry: bytes) -> bool:
    """Whether an entry can be unpacked; JAX packs with zstandard where it is installed."""
    module = "zlib"
    if entry.startswith(ZSTD):
        module = "compression.zstd" if sys.version_info >= (3, 14) else "zstandard"
    try:
        importlib.import_module(module).decompress(entry)
    except ImportError:
        return True  # JAX, too, does not read it here
    except Exception:  # of the library's own kind
        return False
    return True


def _silence() -> None:
    """Keep XLA from an error a program that is none, unless the user has set a level of logs.

    Compiled for AVX-512, a program prefers plain loads to gathers; XLA takes that preference for
    a feature that the processor lacks, and says so at length each time it loads one that was
    kept (openxla/xla#44565). The level "1" is JAX's own.
    """
    if "avx512f" in processor() and os.environ.get(LOG_LEVEL, "1") == "1":
        os.environ[LOG_LEVEL] = "3"
