"""Programs that XLA has compiled, kept for later processes in the user's cache folder.

JAX does that (its persistent compilation cache); here it is switched on, for the commands and
the processes that they start, not by importing the package. `JAX_COMPILATION_CACHE_DIR` puts
it elsewhere, `JAX_ENABLE_COMPILATION_CACHE=false` switches it off.

An entry is named after all that decides its content, and its folder after the processor, as
machines may share a home. Any number of processes may use the folder at once: whoever has
compiled what is there already leaves it.

JAX alone writes entries in place, runs whatever a damaged one unpacks to (only zlib has a sum
of its content, zstandard as JAX calls it has none), warns anew in every process where it does
not unpack, and never replaces it. So `VerifiedEntries` stands between JAX and the folder.

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
from contextlib import suppress
from pathlib import Path
from typing import Any

from rnnexp.core.files import cache_dir, made_beside
from rnnexp.runtime.cache_folder import CacheFolderError, code_folder, distrust
from rnnexp.runtime.cpu import processor

LARGEST_BYTES = 1 << 29
SHORTEST_COMPILE_S = 0.0
THEIRS = "JAX_COMPILATION_CACHE_DIR"
"""The environment variable by which JAX itself is told of a folder."""
CHECKED = "checked"
"""The file whose date says until when entries were looked at."""
WRITING_S = 1.0
"""An entry younger than that may be one that is being written."""
ABANDONED_S = 600.0
"""What is being written for longer was left by a process that was killed."""
SHA256_BYTES = 32
FORMAT = "content and SHA-256"
"""What an entry consists of; other formats have other folders."""
ZSTD = b"\x28\xb5\x2f\xfd"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
log = logging.getLogger("rnnexp")


def keep_programs() -> None:
    """Keep what this process compiles, and take what others have kept.

    Call it before JAX compiles. What the user's environment says of JAX's cache stands. A
    folder that cannot be written, or that another user may have written to, is said so in a
    line, and nothing is kept.
    """
    _silence()
    if (named := os.environ.get(THEIRS)) is not None:
        with suppress(OSError):  # not made yet, or no folder of this machine
            if named and (reason := distrust(Path(named))):
                log.warning("%s: %s; whoever writes there can run code as you", THEIRS, reason)
        return
    import jax

    settings: Any = jax.config
    if not settings.jax_enable_compilation_cache:
        return
    try:
        folder = code_folder(*programs_dir().relative_to(cache_dir()).parts)
        tidy(folder)
        _verify(folder)
    except CacheFolderError as error:
        log.info("compiled programs are not kept: %s", error)
        return
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
    digest = hashlib.sha256(f"{FORMAT}\n{processor()}".encode()).hexdigest()
    return cache_dir() / "programs" / digest[:16]


class VerifiedEntries:
    """JAX's interface to a cache, over a folder: what it gives is what was put, or nothing.

    An entry is a file that has the SHA-256 of its content after it, put in place whole.
    """

    def __init__(self, folder: Path):
        self._path = self.path = folder  # JAX reads the first
        self.writable = True

    def get(self, key: str) -> bytes | None:
        """The content; None if there is none, or none that is whole: that is removed."""
        file = self._file(key)
        try:
            entry = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.info("compiling anew a program that cannot be read: %s: %s", file, error.strerror)
            return None
        content, digest = entry[:-SHA256_BYTES], entry[-SHA256_BYTES:]
        if hashlib.sha256(content).digest() == digest:
            return content
        log.info("compiling anew a program that was cut short or altered: %s", file)
        file.unlink(missing_ok=True)
        return None

    def put(self, key: str, value: bytes) -> None:
        """Add an entry, unless it is there. One that cannot be written is the last, and said."""
        file = self._file(key)
        if not self.writable or file.exists():
            return
        try:
            with made_beside(file, f".{os.getpid()}") as part:
                part.write_bytes(value + hashlib.sha256(value).digest())
        except OSError as error:
            self.writable = False
            log.info("compiled programs are not kept: cannot write %s: %s", file, error.strerror)

    def _file(self, key: str) -> Path:
        return self.path / f"{key}-cache"


def _verify(folder: Path) -> None:
    """Have JAX read and write the entries of this folder through `VerifiedEntries`.

    JAX has no public way to that. Raises `CacheFolderError` where the one that is taken is gone.
    """
    try:
        module: Any = importlib.import_module("jax._src.compilation_cache")
        opened = module.get_file_cache
    except (ImportError, AttributeError) as error:
        raise CacheFolderError(f"this version of JAX opens it in another way ({error})") from error

    def get_file_cache(path: str) -> Any:
        return (VerifiedEntries(folder), path) if path == str(folder) else opened(path)

    module.get_file_cache = get_file_cache


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
    for part in folder.glob(".*.part"):
        with suppress(FileNotFoundError):
            if part.stat().st_mtime < now - ABANDONED_S:
                part.unlink()
    entries = []
    for file in folder.glob("*-cache"):
        try:
            facts = file.stat()
            settled = facts.st_mtime < now - WRITING_S
            if settled and facts.st_mtime >= before - WRITING_S and not _whole(file.read_bytes()):
                log.info("removed a compiled program that was cut short: %s", file)
                file.unlink()
                continue
        except OSError:  # another process removed it, or it is none that can be read
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
