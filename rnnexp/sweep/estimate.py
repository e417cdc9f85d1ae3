"""What a sweep will take, group by group: memory from shapes, time from a short measurement."""

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
from rnnexp.sweep.launch import Proposal
from rnnexp.train.plan import make_plan

log = logging.getLogger("rnnexp")
MIB = 2**20
PROCESS_MIB = 1024
"""What a process takes before it trains anything: Python, JAX, compiling."""


def estimate(
    proposal: Proposal, *, data_dir: Path | None, measure: bool
) -> dict[int, Mapping[str, Any]]:
    """By group: parameters, MiB of a run and of the data sets, and time.

    The time, in seconds for the whole group on this machine, counts training steps alone.
    It is known where a width was measured before, or else measured now if `measure`.
    """
    costs: dict[int, Mapping[str, Any]] = {}
    for group, runs in proposal.groups.items():
        config = runs[0].frozen()
        try:
            plan = make_plan(config, data_dir=data_dir, chunk_steps=CHUNK_STEPS)
        except UsageError as error:
            log.warning("group %d cannot be made: %s", group, error)
            continue
        devices = min(len(jax.devices()), len(runs))
        times = Times(plan, devices)
        seconds = None
        if measure or times.known(1):
            seconds = times.fastest() * plan.total_steps * len(runs)
        costs[group] = {
            "parameters": tree_size(plan.params),
            "MiB a run": lane_bytes(plan) / MIB,
            "MiB of data": data_bytes(plan) / MIB,
            "seconds": seconds,
        }
    return costs


def request_bytes(cost: Mapping[str, Any], runs: int, lanes: int) -> int:
    """Memory to ask for, for a group of so many runs, so many of them on lanes at a time.

    Two sets of lanes work in turn, and the data sets are on the host and on the devices.
    """
    training = cost["MiB a run"] * min(runs, 2 * lanes)
    return int((PROCESS_MIB + training + 2 * cost["MiB of data"]) * MIB)
