"""Estimates what each group of a sweep takes: memory from shapes, time from a measurement."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from rnnexp.core.errors import UsageError
from rnnexp.core.tree import tree_size
from rnnexp.run.run import CHUNK_STEPS
from rnnexp.sweep.lane_memory import data_bytes, lane_bytes
from rnnexp.sweep.lane_timing import Times
from rnnexp.sweep.launch import SweepPlan
from rnnexp.train.plan import make_plan

log = logging.getLogger("rnnexp")
MIB = 2**20
PROCESS_MIB = 1024
"""Memory of a process before it trains anything: Python, JAX, the compiler."""


def estimate(
    plan: SweepPlan, *, data_dir: Path | None, measure: bool
) -> dict[int, Mapping[str, Any]]:
    """By group number: parameters, MiB of a run, MiB of the data sets, and seconds.

    The seconds are those of the whole group's training steps on this machine. They are None
    if no width has been measured before, unless `measure` asks for a measurement now.
    """
    costs: dict[int, Mapping[str, Any]] = {}
    for group, runs in plan.groups.items():
        config = runs[0].frozen()
        try:
            run_plan = make_plan(config, data_dir=data_dir, chunk_steps=CHUNK_STEPS)
        except UsageError as error:
            log.warning("group %d cannot be made: %s", group, error)
            continue
        devices = min(len(jax.devices()), len(runs))
        times = Times(run_plan, devices)
        seconds = None
        if measure or times.known(1):
            seconds = times.fastest() * run_plan.total_steps * len(runs)
        costs[group] = {
            "parameters": tree_size(run_plan.params),
            "MiB a run": lane_bytes(run_plan) / MIB,
            "MiB of data": data_bytes(run_plan) / MIB,
            "seconds": seconds,
        }
    return costs


def request_bytes(cost: Mapping[str, Any], runs: int, lanes: int) -> int:
    """Bytes to request for a group of so many runs, of which `lanes` train at a time.

    There are two sets of lanes, and the data sets lie on the host and on the devices.
    """
    training = cost["MiB a run"] * min(runs, 2 * lanes)
    return int((PROCESS_MIB + training + 2 * cost["MiB of data"]) * MIB)
