"""Measures the time of a training step, and from it chooses how many runs train side by side.

The best number depends on the device: stacked small matrices go through slower kernels on a CPU,
while a GPU needs many of them to be busy. So a few steps without records are timed at growing
widths until a wider layout gains nothing. The times are kept in the cache folder by device and
workload.
"""

import hashlib
import json
import logging
import time
from functools import partial

import jax
import jax.numpy as jnp

from rnnexp.config.defaults import DURATIONS
from rnnexp.config.schema import flat
from rnnexp.core.errors import UsageError
from rnnexp.core.files import cache_dir, make_private, replace_text
from rnnexp.core.types import Tree
from rnnexp.run.files import read_json
from rnnexp.tasks.batches import (
    Keys,
    epoch_order,
    source_arrays,
    stream_keys,
)
from rnnexp.train.compiled import initial_state
from rnnexp.train.lanes import LaneLayout, run_on_lanes
from rnnexp.train.optim import BRANCHES, TRACED, Hyper
from rnnexp.train.plan import Plan
from rnnexp.train.program import Recipe, TrainState
from rnnexp.train.step import Lane, take_step

log = logging.getLogger("rnnexp")
STEPS = 8
"""Training steps in one measurement."""
GROWTH = 4
"""The next width to try is this many times the present one."""
WORTH = 0.9
"""A wider layout must bring the time of a lane's step below this fraction of the best so far,
because it takes longer to compile and its lanes wait for each other."""
MEASURED_S = 0.3
"""Seconds for which a width is timed, at least twice; the best time counts."""
PATIENCE = 20
"""Widths beyond 1 are measured only if the runs take this many times as long as measuring 1 did."""


def choose_width(plan: Plan, *, devices: int, runs: int) -> int:
    """How many runs of a plan should train side by side on each of `devices`, for most steps a
    second."""
    most = -(-runs // devices)
    if most == 1:
        return 1
    best, times = 1, Times(plan, devices)
    began = time.monotonic()
    best_seconds = times.lane_step(1)
    spent = time.monotonic() - began
    total = best_seconds * plan.total_steps * runs
    if not times.known(GROWTH) and total < PATIENCE * spent:
        log.info("lanes: about %.0f s in all, not worth measuring wider layouts", total)
        return 1
    width = GROWTH
    while width <= max(most, GROWTH):
        try:
            seconds = times.lane_step(width)
        except jax.errors.JaxRuntimeError as error:  # most likely out of memory
            log.info("lanes: %d side by side cannot run (%s)", width, str(error).split("\n")[0])
            break
        log.info(
            "lanes: %d side by side on a device take %.3f ms a step and lane, %d take %.3f ms",
            width, seconds * 1e3, best, best_seconds * 1e3,
        )  # fmt: skip
        if seconds > WORTH * best_seconds:
            break
        best, best_seconds, width = width, seconds, width * GROWTH
    return min(best, most)


class Times:
    """Seconds that a step of one lane takes, by the width of the layout, kept in a file."""

    def __init__(self, plan: Plan, devices: int):
        self.plan, self.devices = plan, devices
        self.file = cache_dir() / "lanes" / f"{workload(plan, devices)}.json"
        try:
            self.seconds: dict[str, float] = read_json(self.file) or {}
        except UsageError as error:
            log.info("lanes: %s; measuring again", error)
            self.seconds = {}

    def known(self, width: int) -> bool:
        """Whether the time at this width was measured before."""
        return str(width) in self.seconds

    def fastest(self) -> float:
        """Seconds for a step of one lane at the best known width, at least width 1."""
        self.lane_step(1)
        return min(self.seconds.values())

    def lane_step(self, width: int) -> float:
        """Seconds for a step of one lane at a width, measured now if need be."""
        if not self.known(width):
            self.seconds[str(width)] = time_lane_step(self.plan, LaneLayout(self.devices, width))
            try:
                make_private(self.file.parent)
                replace_text(self.file, json.dumps(self.seconds) + "\n")
            except OSError as error:
                log.info("lanes: cannot remember the measurement in %s: %s", self.file, error)
        return self.seconds[str(width)]


def workload(plan: Plan, devices: int) -> str:
    """A name for all that determines the time of a step: device, JAX version, static keys."""
    skipped = ("seed", *TRACED)
    values = {
        key: value
        for key, value in flat(plan.config).items()
        if key not in skipped and not key.startswith((*DURATIONS, "eval", "early_stopping"))
    }
    values |= {key: flat(plan.config)[key] > 0 for key in BRANCHES}
    device = jax.devices()[0]
    facts = [device.platform, device.device_kind, devices, jax.__version__, plan.recurrence, values]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def time_lane_step(plan: Plan, layout: LaneLayout) -> float:
    """Seconds that one step of one lane takes, without records, while all lanes train."""
    state = initial_state(plan)
    keys = stream_keys(plan.config.seed)
    lanes = layout.lanes
    arguments = jax.tree.map(
        lambda x: jnp.stack([x] * lanes),
        (state, Keys(keys["train"], keys["noise"]), dict(plan.hyper)),
    )
    arrays = source_arrays(plan.recipe.task.train)
    run = run_on_lanes(partial(plain_steps, plan.recipe), layout, len(arguments))
    jax.block_until_ready(run(*arguments, arrays))  # compiles
    seconds: list[float] = []
    while len(seconds) < 2 or sum(seconds) < MEASURED_S:
        began = time.monotonic()
        jax.block_until_ready(run(*arguments, arrays))
        seconds.append(time.monotonic() - began)
    return min(seconds) / STEPS / lanes


def plain_steps(
    recipe: Recipe, state: TrainState, keys: Keys, hyper: Hyper, arrays: Tree
) -> TrainState:
    """`STEPS` updates of one lane without records."""
    order = epoch_order(recipe.task.train, keys.data, state.step, recipe.batch_size)

    def body(state: TrainState, _: None) -> tuple[TrainState, None]:
        lane = Lane(state, order, keys, hyper)
        return take_step(recipe, arrays, lane, record=False).state, None

    return jax.lax.scan(body, state, length=STEPS)[0]
