"""The model and instruction sets of this processor, the key of caches of compiled code."""

import platform
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def processor() -> str:
    """Model and instruction sets of this processor as one text, where the system lists them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    telling = ("flags", "Features", "model name")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(telling)))
