"""Files that are replaced whole or not at all, JSON that keeps every float, the cache folder."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def made_beside(target: Path, mark: str = "") -> Iterator[Path]:
    """A path beside `target`; what the body makes there is then renamed to `target`.

    So a reader or a crash finds what was there before or all of the new. If the body fails,
    what it made is removed. What a killed process made stays: a file is overwritten by the
    next attempt, a folder must be removed by its maker.

    Args:
      target: a file, or a folder that does not exist (or no longer does when the body ends).
      mark: tells processes apart that may make the same target at the same time.
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
    """Replace a file by rename; its content is on the disk when this returns."""
    with made_beside(path) as part, part.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def replace_bytes(path: Path, content: bytes) -> None:
    """Replace a file by rename, without waiting for the disk."""
    with made_beside(path) as part:
        part.write_bytes(content)


def append_text(path: Path, text: str) -> None:
    """Append to a file; its content is on the disk when this returns."""
    with path.open("a") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """An empty folder in `parent`, removed at the end: what is made there is renamed from it.

    For other programs' files, which have names of those programs' own.
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix=".part-", dir=parent) as folder:
        yield Path(folder)


def cache_dir() -> Path:
    """The user's folder for what can be made or downloaded again."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rnnexp"


def to_json(value: Any, **style: Any) -> str:
    """JSON; floats that JSON has no number for become "NaN", "Infinity" or "-Infinity".

    `float()` in Python and `Number()` in JavaScript read those strings back.
    """
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
