"""What `rnnexp list runs`, `compare` and `report` cost with many runs, cold and warm.

    python experiments/many_runs.py
    python experiments/many_runs.py --keep DIR

Trains a run of each of four cells, of a few steps, and makes 10,000 runs of them: each
has the template's files, a learning rate and a seed of its own (five seeds a setting), and scores
drawn around those of its setting; every 19th has diverged. (The gradients are links to the
template's, which is as much to read and less to write.) Then each command is a process of its own,
whose seconds of all cores (user and system) and greatest memory are measured: cold without the
index of the runs directory, in which case every run's files are read, and warm with it. The files
are in the system's memory in both cases. `--keep` makes the runs in a directory that stays; if it
holds runs already, they are measured as they are.

Expected on one core: warm at most 1.5 s and cold at most 4 s for the lists and the comparison, and
at most 1 GB of memory for all of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnexp.config.schema import experiment, finish, run_id
from rnnexp.results.index import INDEX

RNNEXP = [sys.executable, "-m", "rnnexp"]
TASK, CELLS = "copy_memory", ("lstm", "gru", "rnn", "lem")
SMALL = {
    "cell.hidden_size": "4", "train.batch_size": "4", "train.duration_steps": "20",
    "eval.every_steps": "10", "record.every_steps": "5", "eval.examples": "8",
}  # fmt: skip
SEEDS = 5
DIVERGES = 19
LINKED = ("gradients.zarr", "metrics.jsonl", "environment.json")
PAST_S = 1_700_000_000


class Cost(NamedTuple):
    """Of a process: seconds of all cores, and the greatest memory in MB."""

    cores: float
    memory: float


def make_runs(runs_dir: Path, templates: Path, count: int) -> None:
    """`count` runs in `runs_dir`, made of templates that are trained first."""
    names = [f"{TASK}/{cell}" for cell in CELLS]
    for name in names:
        changes = [f"--config.{key}={value}" for key, value in SMALL.items()]
        if not (templates / name).exists():
            rnnexp(["run", name, *changes, "--runs-dir", str(templates)])
    found = {name: next(templates.glob(f"{name}/*")) for name in names}
    random = np.random.default_rng(0)
    for number in range(count):
        name, rest = names[number % len(names)], number // len(names)
        level = 0.1 + 0.1 * CELLS.index(name.partition("/")[2]) + 1e-4 * (rest // SEEDS)
        copy_run(
            runs_dir, name, found[name], seed=rest % SEEDS, rate=1e-4 * (1 + rest // SEEDS),
            score=level + 0.02 * random.standard_normal(), diverges=number % DIVERGES == 7,
        )  # fmt: skip


def copy_run(
    runs_dir: Path, name: str, template: Path, *, seed: int, rate: float, score: float,
    diverges: bool,
) -> None:  # fmt: skip
    """A run like the template with another seed, learning rate and score."""
    values = json.loads((template / "config.json").read_text())
    values["seed"], values["optimizer"]["learning_rate"] = seed, rate
    config = experiment(name)
    with config.unlocked():
        config.update(values)
    run = runs_dir / name / run_id(finish(config))
    run.mkdir(parents=True)
    status = json.loads((template / "status.json").read_text())
    if diverges:
        status |= {"status": "diverged", "reason": "non-finite loss at step 12"}
        status.pop("test", None)
    else:
        status["test"] = dict.fromkeys(status["test"], score)
        status["best"]["value"] = score + 0.01
    (run / "config.json").write_text(json.dumps(values))
    (run / "status.json").write_text(json.dumps(status))
    os.utime(run / "status.json", (PAST_S, PAST_S))
    for file in LINKED:
        (run / file).symlink_to((template / file).resolve())


def rnnexp(arguments: list[str]) -> Cost:
    """Run a command and measure it; stops this script if it fails."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*RNNEXP, *arguments], stdout=subprocess.DEVNULL, stderr=said, text=True
        )
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"rnnexp {' '.join(arguments)} failed: {said.read()}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # of ru_maxrss: bytes, or kB
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / unit)


def measure(runs_dir: Path, folder: Path, rounds: int) -> None:
    """Print the costs of the commands."""
    commands = {
        "list runs": ["list", "runs", "--runs-dir", str(runs_dir)],
        "compare": ["compare", str(runs_dir)],
        "report": ["report", str(runs_dir), "-o", str(folder / "report.html")],
    }
    print("| command | cold | warm | memory |\n| --- | --- | --- | --- |")
    for name, arguments in commands.items():
        times: dict[str, list[Cost]] = {"cold": [], "warm": []}
        for _ in range(rounds):
            (runs_dir / INDEX).unlink(missing_ok=True)
            times["cold"].append(rnnexp(arguments))
            times["warm"].append(rnnexp(arguments))
        cold, warm = (statistics.median(c.cores for c in costs) for costs in times.values())
        memory = max(cost.memory for costs in times.values() for cost in costs)
        print(f"| {name} | {cold:.2f} s | {warm:.2f} s | {memory:.0f} MB |", flush=True)
    size = (folder / "report.html").stat().st_size
    print(f"the page: {size / 1e6:.1f} MB")


def main() -> None:
    """Make the runs and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the runs stay")
    known = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = known.keep or Path(name)
        runs_dir = folder / "runs"
        if not runs_dir.exists():
            make_runs(runs_dir, folder / "templates", known.runs)
        measure(runs_dir, folder, known.rounds)


if __name__ == "__main__":
    main()
