"""Memory that the C library keeps for the process once it has it.

XLA makes the buffers of a program anew at every call. Large ones glibc takes from the system and
gives back at once, and the system fills every page with zeros at its first touch, which takes
longer than to write it: `experiments/speed.md`. Kept, they are touched once.
"""

import ctypes
import os
from collections.abc import Mapping

# Of glibc's malloc.h. Only the main arena can grow beyond 64 MiB without asking the system anew.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
SETTINGS = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1}
USERS = ("MALLOC_", "GLIBC_TUNABLES")


def keep_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Have freed memory kept for this process, not given back; whether that could be done.

    Call it before XLA starts its threads. What the user's environment says of glibc's memory
    stands (`MALLOC_...`, `GLIBC_TUNABLES`); with another C library nothing is done.
    """
    if any(name.startswith(USERS) for name in environment):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = [mallopt(name, value) for name, value in SETTINGS.items()]  # 1: it could be set
    return all(done)
