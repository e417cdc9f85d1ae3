"""Atomic replacement of files, JSON that keeps every float, the cache folder."""

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UsageError


@contextmanager
def made_beside(target: Path, mark: str = "") -> Iterator[Path]:
    """A path beside `target`, where the body writes; it is then renamed to `target`.

    A reader sees the old content or all of the new. If the body fails, what it wrote is
    removed. What a killed process wrote stays: the next attempt overwrites a file; the caller
    must remove a folder.

    Args:
      target: a file, or a folder that does not exist when the body ends.
      mark: distinguishes processes that may write the same target at the same time.
    """
    part = target.with_name(f".{target.name}{mark}.part")
    try:
        yield part
        part.rename(target)
    except (Exception, KeyboardInterrupt):
        with suppress(OSError):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        raise


def replace_text(path: Path, text: str) -> None:
    """Replace a file by rename; the content is on disk on return."""
    with made_beside(path) as part, part.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def replace_bytes(path: Path, content: bytes) -> None:
    """Replace a file by rename, without waiting for the disk."""
    with made_beside(path) as part:
        part.write_bytes(content)


def append_text(path: Path, text: str) -> None:
    """Append to a file; the content is on disk on return."""
    with path.open("a") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_readable(path: Path) -> None:
    """Raise `UsageError` if a file, or anything in a folder, is there but may not be read.

    What may not be read is not damaged, and nothing may be put in its place.
    """

    def refuse(error: OSError) -> None:
        if isinstance(error, PermissionError):
            raise UsageError(
                f"may not read {error.filename}: {error.strerror}. Nothing is changed; give "
                "yourself the permission, or use another --runs-dir"
            ) from error

    try:
        os.stat(path)
    except OSError as error:
        refuse(error)
        return
    if path.is_dir():
        for folder, _, names in os.walk(path, onerror=refuse):
            for name in names:
                require_readable(Path(folder, name))
    elif not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        refuse(PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)))


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """An empty folder in `parent`, removed at the end, for files that another program names."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix=".part-", dir=parent) as folder:
        yield Path(folder)


def cache_dir() -> Path:
    """The user's folder for data that can be computed or downloaded again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rnnexp"


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone (mode 0700).

    Whatever makes a part of the cache folder first makes it for the code that is kept there.
    """
    for missing in reversed([folder, *folder.parents]):
        if not missing.is_dir():
            missing.mkdir(mode=0o700, exist_ok=True)


def to_json(value: Any, **style: Any) -> str:
    """JSON; non-finite floats become "NaN", "Infinity" or "-Infinity", which `float()` reads."""
    return json.dumps(_plain(value), allow_nan=False, **style)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(k): _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
    return value
