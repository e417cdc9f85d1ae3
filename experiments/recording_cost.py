"""What recording dL/dh_t costs, and whether compile time grows with T.

    python experiments/recording_cost.py

Trains the same chunk of steps with recording never, every 10 steps and every step, in
turn, several rounds in one process, and prints the median of the pairwise ratios. Then
compiles the chunk for T = 100 and T = 10,000.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp

from rnnexp import experiment, finish
from rnnexp.sweep.program_groups import chunk_arguments
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_plan

WORKLOADS = {  # task, steps of time, batch, hidden units, training steps a round
    "T=784 B=64 H=128": ("adding/lstm", 784, 64, 128, 10),
    "T=100 B=32 H=46": ("adding/lstm", 100, 32, 46, 100),
    "T=28 B=100 H=128": ("adding/lstm", 28, 100, 128, 100),
    "T=200 B=32 H=128": ("adding/lstm", 200, 32, 128, 50),
    "T=200 B=64 H=32": ("adding/lstm", 200, 64, 32, 50),
}
NEVER = 1 << 30


def build(name: str, time_steps: int, batch: int, hidden: int, chunk: int) -> Programs:
    """The compiled functions of a workload."""
    config = experiment(name)
    config.task.length_steps = time_steps
    config.train.batch_size = batch
    config.cell.hidden_size = hidden
    return Programs(make_plan(finish(config), data_dir=None, chunk_steps=chunk))


def seconds(program: Programs, chunk: int, every: int) -> float:
    """One chunk, from a fresh state at step 1, so that step 0 is not recorded by chance."""
    state = program.initial()._replace(step=jnp.ones((), jnp.int32))
    jax.block_until_ready(state)
    began = time.perf_counter()
    jax.block_until_ready(program.advance(state, chunk + 1, every)[0])
    return time.perf_counter() - began


def main() -> None:
    """Print the table of ratios and the compile times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(f"{'':20}{'ms a step':>10}{'every 10':>12}{'every step':>12}   time against never")
    for label, (name, time_steps, batch, hidden, chunk) in WORKLOADS.items():
        program = build(name, time_steps, batch, hidden, chunk)
        cadences = (NEVER, 10, 1)
        for every in cadences:
            seconds(program, chunk, every)
        took = [[seconds(program, chunk, every) for every in cadences] for _ in range(rounds)]
        ratios = [statistics.median(row[i] / row[0] for row in took) for i in (1, 2)]
        base = statistics.median(row[0] for row in took) / chunk * 1e3
        print(f"{label:20}{base:10.2f}" + "".join(f"{r - 1:+12.1%}" for r in ratios))
    for time_steps in (100, 10_000):
        program = build("adding/lstm", time_steps, 8, 64, 10)
        times = []
        for _ in range(3):
            jax.clear_caches()
            times.append(compile_seconds(program))
        print(f"compile time at T={time_steps:,}: {min(times):.2f} s")


def compile_seconds(program: Programs) -> float:
    """Tracing and compiling the chunk."""
    arguments = chunk_arguments(program.plan)
    began = time.perf_counter()
    program.chunk.lower(*arguments).compile()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
