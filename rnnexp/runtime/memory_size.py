"""How much memory there is for arrays."""

import os
from pathlib import Path

import jax

CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where the system says how much memory this process's group may have, in two versions."""


def total_bytes() -> int:
    """Bytes of memory of the device that computes, whether or not they are free.

    On a CPU these are the machine's, or as many of them as this process may have.
    """
    device = jax.devices()[0]
    if device.platform != "cpu" and (stats := device.memory_stats()):
        return int(stats["bytes_limit"])
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for place in CGROUPS:
        try:
            text = Path(place).read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # not "max"
            total = min(total, int(text))
    return total
