"""Settings of the C library's allocator: it keeps freed memory for the process.

XLA allocates the buffers of a program at every call. By default glibc returns large ones to the
system, which then clears every page again; that costs more time than writing it
(`experiments/speed.md`).
"""

import ctypes
import os
from collections.abc import Mapping

# From glibc's malloc.h. Only the main arena can grow beyond 64 MiB without a new mapping.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
SETTINGS = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1}
USERS = ("MALLOC_", "GLIBC_TUNABLES")


def keep_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Keep freed memory in this process; returns whether that succeeded.

    Call it before XLA starts its threads. It changes nothing if the environment configures
    glibc's allocator (`MALLOC_...`, `GLIBC_TUNABLES`), or with another C library.
    """
    if any(name.startswith(USERS) for name in environment):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = [mallopt(name, value) for name, value in SETTINGS.items()]  # 1: success
    return all(done)
