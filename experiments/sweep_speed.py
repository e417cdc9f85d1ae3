"""What lanes gain: 64 small runs in one program, in 64 processes, and in turn in one process.

    python experiments/sweep_speed.py

Copy memory with delay 50, LSTM of 32 units, batches of 32, 500 steps, 8 seeds by 8 learning
rates. Each way makes the same 64 complete run directories, with evaluations, gradient
profiles and checkpoints, and is timed by the wall clock from its command to its end:

* sweep: `rnnexp sweep`, one command;
* processes: `rnnexp run` 64 times, one after another;
* run in turn: `rnnexp.run` 64 times in one process that has made one run before;
* lane in turn: the sweep's program on a single lane of a single device, already compiled.

The ways in turn make 16 of the 64, and their time is scaled up; `--in-turn 64` makes all.
Expected on 2 cores: about a quarter of an hour.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import experiment, finish
from rnnexp.run.callbacks import Observer, run_path
from rnnexp.run.files import RunLog
from rnnexp.run.run import CHUNK_STEPS, run
from rnnexp.run.session import RunSession
from rnnexp.run.trainer import Trainer
from rnnexp.runtime.signals import StopRequest
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_lane, make_plan
from rnnexp.train.program import TrainState

KEYS = {
    "task.delay_steps": 50,
    "cell.hidden_size": 32,
    "train.batch_size": 32,
    "train.duration_steps": 500,
}
SEEDS, RATES = 8, "log:1e-4..1e-1:8"
COMMON = [f"--config.{key}={value}" for key, value in KEYS.items()]
RNNEXP = [sys.executable, "-m", "rnnexp"]


def configurations() -> list[FrozenConfigDict]:
    """The 64 runs."""
    made = []
    for rate, seed in itertools.product(np.geomspace(1e-4, 1e-1, 8), range(SEEDS)):
        config = experiment("copy_memory/lstm")
        config.update_from_flattened_dict(
            KEYS | {"seed": seed, "optimizer.learning_rate": float(f"{rate:.12g}")}
        )
        made.append(finish(config))
    return made


def by_sweep(folder: Path) -> None:
    """One command for all."""
    command = [*RNNEXP, "sweep", "copy_memory/lstm", *COMMON, "--runs-dir", str(folder)]
    axis = ["--sweep", f"optimizer.learning_rate={RATES}", "--seeds", str(SEEDS)]
    done = subprocess.run([*command, *axis], check=True, capture_output=True, text=True)
    print("\n".join(line for line in done.stderr.splitlines() if "lanes" in line))


def by_processes(configs: list[FrozenConfigDict], folder: Path) -> None:
    """A process a run."""
    for config in configs:
        values = [
            f"--config.seed={config.seed}",
            f"--config.optimizer.learning_rate={config.optimizer.learning_rate!r}",
        ]
        command = [*RNNEXP, "run", "copy_memory/lstm", *COMMON, *values, "--runs-dir", str(folder)]
        subprocess.run(command, check=True, capture_output=True)


def in_turn(configs: list[FrozenConfigDict], folder: Path) -> None:
    """`rnnexp.run` again and again."""
    for config in configs:
        run(config, runs_dir=folder)


def on_one_lane(programs: Programs, configs: list[FrozenConfigDict], folder: Path) -> None:
    """A compiled program, one run at a time."""
    waiting = list(configs)

    def next_run() -> tuple[RunSession, TrainState] | None:
        if not waiting:
            return None
        config = waiting.pop(0)
        session = RunSession(
            make_lane(programs.plan, config), RunLog(run_path(config, folder)), Observer()
        )
        return session, session.begin()

    with StopRequest() as stop:
        for _ in Trainer(programs, next_run, lambda result, error: None).rounds(stop):
            pass


def main() -> None:
    """Time the four ways in one go and print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=64, help="processes; fewer are scaled up")
    parser.add_argument("--in-turn", type=int, default=16, help="runs in turn; scaled up")
    count, turn = vars(parser.parse_args()).values()
    configs = configurations()
    seconds = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def timed(way: str, began: float, runs: int) -> None:
            seconds[way] = (time.monotonic() - began) * len(configs) / runs
            note = "" if runs == len(configs) else f"  ({runs} runs, scaled up)"
            print(f"{way:14} {seconds[way]:8.1f} s{note}", flush=True)

        began = time.monotonic()
        by_sweep(folder / "sweep")
        timed("sweep", began, len(configs))
        began = time.monotonic()
        by_processes(configs[:count], folder / "processes")
        timed("processes", began, count)
        run(configs[0], runs_dir=folder / "warm")
        began = time.monotonic()
        in_turn(configs[:turn], folder / "turn")
        timed("run in turn", began, turn)
        programs = Programs(make_plan(configs[0], data_dir=None, chunk_steps=CHUNK_STEPS))
        on_one_lane(programs, configs[:1], folder / "warm_lane")
        began = time.monotonic()
        on_one_lane(programs, configs[:turn], folder / "lane")
        timed("lane in turn", began, turn)
        for way in ("processes", "run in turn", "lane in turn"):
            print(f"{way} / sweep: {seconds[way] / seconds['sweep']:.1f}")


if __name__ == "__main__":
    main()
