"""Whether the time of a step grows with T alone, and how much memory a step takes.

    python experiments/long_sequences.py

Time: LSTM, 128 units, batch 64, one feature, at growing T: milliseconds of a training step of
the training loop, all lengths in turn, several rounds in one process; then per time step, and how
many times that of the shortest. Expected: within 10 % of it up to T = 7,840.

Memory, at the workloads of `rnnexp bench`: what the compiled step of each workload takes besides
the weights and the batch, as XLA has planned it (what the compiled kernels keep for the
backward pass is part of that), and the most that a process held resident while it made such
a step, all included. Then the same with `model.remat_steps`, which keeps the state of
every so many steps only. One state is what a batch's cell carries from step to step, B x H for h
and as many for c. Expected: at most 4 sqrt(T) states, also where gradients are recorded. Least
is 2 sqrt(T n), where the kernel keeps n states of a step: LSTM 3, GRU 5, RNN 1.

Price: how many times longer a step of W1 takes with `model.remat_steps`, and by a scan, with and
without; all in turn, several rounds in one process.

`--cells lstm,gru,rnn` and `--workloads W1,W4` choose; `--only time`, `memory` or `price` makes
one table.
"""

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnexp.bench.ours import TimedLoop, configure, training_loop
from rnnexp.bench.workloads import WORKLOADS, Workload, draw, find_workloads
from rnnexp.core.tree import tree_bytes
from rnnexp.core.types import Batch
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import Plan, make_plan
from rnnexp.train.program import start_states
from rnnexp.train.step import train_step

LENGTHS = (784, 1568, 3136, 7840)
MIB = 2.0**20


def in_turn(timed: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """What each of them says in every round; a round before, which warms up, is left out."""
    return [[one() for one in timed] for _ in range(rounds + 1)][1:]


def print_times(cell: str, rounds: int, seconds: float) -> None:
    """The table of times by length."""
    works = [Workload(f"T{steps}", "", steps, 64, 1, 128) for steps in LENGTHS]
    loops = [training_loop(work, cell) for work in works]

    def milliseconds(loop: TimedLoop) -> float:
        steps, spent = loop(seconds)
        return 1e3 * spent / steps

    times = in_turn([partial(milliseconds, loop) for loop in loops], rounds)
    print(f"\n{cell}: {'T':>8}{'ms a step':>12}{'us a time step':>16}{'times the first':>17}")
    for place, work in enumerate(works):
        middle = statistics.median(row[place] for row in times)
        each = [row[place] / work.steps / (row[0] / works[0].steps) for row in times]
        print(
            f"{'':{len(cell) + 2}}{work.steps:8}{middle:12.2f}{1e3 * middle / work.steps:16.2f}"
            f"{statistics.median(each):17.3f}"
        )


def print_price(cell: str, rounds: int) -> None:
    """What a step costs with the state of every so many steps kept only, against all kept."""
    work = WORKLOADS["W1"]
    root = math.isqrt(work.steps)
    ways: dict[str, dict[str, Any]] = {}
    for name, kernel in (("as chosen", "auto"), ("scan", "scan")):
        for remat_steps in (0, root, root // 2):
            label = f"{name}, remat_steps={remat_steps}" if remat_steps else name
            ways[label] = {"model.kernel": kernel, "model.remat_steps": remat_steps}

    def milliseconds(step: Callable[[], Any]) -> float:
        began = time.perf_counter()
        jax.block_until_ready(step())
        return 1e3 * (time.perf_counter() - began)

    steps = [compiled_step(work, cell, changes).run for changes in ways.values()]
    times = in_turn([partial(milliseconds, step) for step in steps], rounds)
    print(f"\n{cell} at W1: ms a step, times {next(iter(ways))}")
    for place, label in enumerate(ways):
        middle = statistics.median(row[place] for row in times)
        ratio = statistics.median(row[place] / row[0] for row in times)
        print(f"{label:28}{middle:10.1f}{ratio:8.2f}", flush=True)


def print_memory(works: list[Workload], cell: str) -> None:
    """The table of bytes, each line from a process of its own."""
    print(
        f"\n{cell}: MiB of a step, of a recorded step and of the whole process; states of sqrt(T)"
    )
    for work in works:
        root = math.isqrt(work.steps)
        for remat_steps in (0, root, root // 2):
            command = [sys.executable, __file__, "--measure", work.name, cell, str(remat_steps)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            shares = [found[key] / found["state"] / math.sqrt(work.steps) for key in KINDS]
            ways = f"remat_steps={remat_steps}" if remat_steps else found["recurrence"]
            print(
                f"{work.name:5}{ways:18}"
                + "".join(f"{found[key] / MIB:10.2f}" for key in (*KINDS, "process"))
                + "".join(f"{share:10.1f}" for share in shares)
                + f"   one state {found['state'] / MIB:.4f}",
                flush=True,
            )


KINDS = ("step", "recorded")


def measure(work: Workload, cell: str, remat_steps: int) -> dict[str, Any]:
    """Bytes that a step of a workload takes, by plan and by what the system saw."""
    found: dict[str, Any] = {}
    most = 0
    for kind in KINDS:
        made = compiled_step(
            work, cell, {"model.remat_steps": remat_steps}, record=kind == "recorded"
        )
        found["state"], found["recurrence"] = state_bytes(made.plan, work), made.plan.recurrence
        found[kind] = made.bytes
        jax.block_until_ready(made.run())  # the first finds its memory
        most = max(most, resident(made.run))
    return found | {"process": most}


class Step(NamedTuple):
    """A training step: its plan, a call of it, and the bytes that XLA has planned for it."""

    plan: Plan
    run: Callable[[], Any]
    bytes: int


def compiled_step(
    work: Workload, cell: str, changes: Mapping[str, Any], *, record: bool = False
) -> Step:
    """A training step of a workload without the training loop."""
    plan = make_plan(configure(work, cell, changes=changes), data_dir=None, chunk_steps=1)
    x_TxBxI, class_B = (jnp.asarray(array) for array in draw(work))
    given = (initial_state(plan), Batch(x_TxBxI, class_B), plan.hyper, jax.random.key(0))
    step = partial(train_step, plan.recipe, record=record)
    compiled = jax.jit(step).lower(*given).compile()
    memory: Any = compiled.memory_analysis()
    return Step(plan, partial(compiled, *given), memory.temp_size_in_bytes)


def state_bytes(plan: Plan, work: Workload) -> int:
    """Bytes of the state of a batch between two steps."""
    return tree_bytes(start_states(plan.recipe.model(plan.params), work.batch_size))


def resident(run: Callable[[], Any]) -> int:
    """The most bytes that this process held in memory at a time while `run` was at work."""
    Path("/proc/self/clear_refs").write_text("5")  # begin to watch anew
    jax.block_until_ready(run())
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", default="lstm")
    parser.add_argument("--workloads", default="W1,W2,W3,W4,W5")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a length in a round")
    parser.add_argument("--only", choices=("time", "memory", "price"))
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    known = parser.parse_args()
    if known.measure is not None:
        name, cell, remat_steps = known.measure
        print(json.dumps(measure(WORKLOADS[name], cell, int(remat_steps))))
        return
    for cell in known.cells.split(","):
        if known.only in (None, "time"):
            print_times(cell, known.rounds, known.seconds)
        if known.only in (None, "memory"):
            print_memory(find_workloads(known.workloads), cell)
        if known.only in (None, "price"):
            print_price(cell, known.rounds)


if __name__ == "__main__":
    main()
