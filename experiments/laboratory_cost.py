"""What the laboratory costs beside training, and beside recording alone.

    python experiments/laboratory_cost.py

Trains the same 100 steps (1) without recording, (2) recording every 10 steps, as by default,
(3) recording and with one measurement of the whole laboratory with its default settings
(`config.laboratory`; without the matrix of adjoints), written to a store: what
`--config.laboratory.every_steps=100` does. All three in turn, several rounds in one process,
and the median of the pairwise ratios; what is compiled is compiled before. Expected: recording
at most 2 % and the laboratory at most 15 % at each of the sizes.

`--processor` counts the seconds of all cores instead of those on the clock, which is the
steadier figure on a machine that others use too.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from rnnexp import experiment, finish
from rnnexp.run.laboratory_store import LaboratoryLog
from rnnexp.run.measure import examiner_of
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_plan

WORKLOADS = {  # steps of time, batch, hidden units
    "T=784 B=64 H=128": (784, 64, 128),
    "T=200 B=32 H=128": (200, 32, 128),
    "T=100 B=32 H=46": (100, 32, 46),
}
NEVER = 1 << 30
STEPS = 100


def build(name: str, time_steps: int, batch: int, hidden: int) -> Programs:
    """The compiled functions of a workload."""
    config = experiment(name)
    config.task.length_steps = time_steps
    config.train.batch_size = batch
    config.cell.hidden_size = hidden
    return Programs(make_plan(finish(config), data_dir=None, chunk_steps=STEPS))


class Contest:
    """The three ways to take the same steps."""

    def __init__(self, programs: Programs, folder: Path, clock: Callable[[], float]):
        self.programs, self.clock = programs, clock
        self.log = LaboratoryLog(folder / "laboratory.zarr")
        self.examiner, self.measured = examiner_of(programs.plan), 0

    def seconds(self, every: int, laboratory: bool) -> float:
        """A chunk from a fresh state at step 1, so that step 0 is not recorded by chance."""
        state = self.programs.initial()._replace(step=jnp.ones((), jnp.int32))
        jax.block_until_ready(state)
        began = self.clock()
        state, _ = self.programs.advance(state, STEPS + 1, every)
        jax.block_until_ready(state)
        if laboratory:
            params = jax.device_get(state.params)
            plan = self.programs.plan
            self.log.append(self.examiner().measure(plan, params, self.measured))
            self.log.flush()
            self.measured += 1
        return self.clock() - began


def main() -> None:
    """Print the table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--experiment", default="adding/lstm", help="TASK/CELL")
    parser.add_argument("--processor", action="store_true", help="count all cores' seconds")
    known = parser.parse_args()
    clock = time.process_time if known.processor else time.perf_counter
    ways = [(NEVER, False), (10, False), (10, True)]
    print(f"{'':20}{'ms a step':>10}{'recording':>12}{'laboratory':>12}   over training without")
    for label, sizes in WORKLOADS.items():
        with tempfile.TemporaryDirectory() as folder:
            contest = Contest(build(known.experiment, *sizes), Path(folder), clock)
            for way in ways:
                contest.seconds(*way)
            took = [[contest.seconds(*way) for way in ways] for _ in range(known.rounds)]
        ratios = [statistics.median(row[n] / row[0] for row in took) for n in (1, 2)]
        base = statistics.median(row[0] for row in took) / STEPS * 1e3
        print(f"{label:20}{base:10.2f}" + "".join(f"{r - 1:+12.1%}" for r in ratios), flush=True)


if __name__ == "__main__":
    main()
