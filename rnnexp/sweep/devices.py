"""The devices that lanes stand on."""

import logging
import os

import jax

log = logging.getLogger("rnnexp")


def start_devices(runs: int) -> int:
    """How many devices `runs` runs can have. On a CPU every core becomes one, if JAX has not
    begun yet in this process; other platforms have what they have."""
    cores = len(os.sched_getaffinity(0))
    try:
        jax.config.update("jax_num_cpu_devices", min(cores, runs))
    except RuntimeError:
        log.info("JAX has begun already: lanes stand on its %d device(s)", len(jax.devices()))
    return min(len(jax.devices()), runs)
