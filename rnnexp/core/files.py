"""Small files that are replaced whole or not at all, JSON that keeps every float, the cache."""

import json
import math
import os
from pathlib import Path
from typing import Any


def replace_text(path: Path, text: str) -> None:
    """Write a file by rename, so a reader or a crash sees the old or the new one."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.rename(path)


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
