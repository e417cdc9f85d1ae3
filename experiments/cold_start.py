"""How long a command takes until its first training step is logged, cold and warm.

    python experiments/cold_start.py

Starts `rnnexp run mnist/lstm`, pixel by pixel (784 steps, batch 64, 128 units), again and again,
each time as a new process with an empty runs directory, and takes the time from its start to
the first line of training in its `metrics.jsonl`. A cache folder of its own is used, so the user's
is left alone:

* first: nothing is in the cache; the kernel is compiled by the C++ compiler, once on a machine;
* cold: the kernel is there, but no program that XLA has compiled;
* warm: both are there, from a start before.

Then the time that `rnnexp --help` and `rnnexp list` take. MNIST must be where runs
find it. Expected on 2 cores: at most 6 s cold, 3 s warm, and 0.5 s for the last two.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rnnexp.core.files import cache_dir

RNNEXP = [sys.executable, "-m", "rnnexp"]
RUN = ["run", "mnist/lstm", "--config.task.by=pixel"]
LIMIT_S = 120.0
POLL_S = 0.005


def first_step(folder: Path) -> tuple[float, float]:
    """Seconds from the command to its first logged training step, by the clock and of all cores.

    The run is killed then.
    """
    with tempfile.TemporaryDirectory(dir=folder) as runs:
        began = time.monotonic()
        process = subprocess.Popen(
            [*RNNEXP, *RUN, "--runs-dir", runs],
            env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            while not logged(Path(runs)):
                if process.poll() is not None:
                    raise SystemExit(f"the run ended: {process.stderr and process.stderr.read()}")
                if time.monotonic() - began > LIMIT_S:
                    raise SystemExit(f"no step was logged in {LIMIT_S:.0f} s")
                time.sleep(POLL_S)
            return time.monotonic() - began, worked(process.pid)
        finally:
            process.kill()
            process.wait()


def logged(runs: Path) -> bool:
    """Whether a run there has logged a training step."""
    return any('"kind": "train"' in file.read_text() for file in runs.glob("*/*/*/metrics.jsonl"))


def worked(pid: int) -> float:
    """Seconds that the cores have worked for a process, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def environment(folder: Path) -> dict[str, str]:
    """This process's, but for the cache, and for what it says of JAX's own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_COMP", "JAX_PERSIST"))}
    data = os.environ.get("RNNEXP_DATA") or str(cache_dir())
    return kept | {"XDG_CACHE_HOME": str(folder / "cache"), "RNNEXP_DATA": data}


def programs(folder: Path) -> Path:
    """Where a run in that environment keeps its compiled programs."""
    return folder / "cache" / "rnnexp" / "programs"


def seconds(arguments: list[str]) -> float:
    """How long a command takes."""
    began = time.monotonic()
    subprocess.run([*RNNEXP, *arguments], check=True, capture_output=True)
    return time.monotonic() - began


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="of each kind")
    starts = parser.parse_args().starts
    times: dict[str, list[tuple[float, float]]] = {"first": [], "cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times["first"].append(first_step(folder))
        for _ in range(starts):
            shutil.rmtree(programs(folder), ignore_errors=True)
            times["cold"].append(first_step(folder))
            times["warm"].append(first_step(folder))
        kept = [file.stat().st_size for file in programs(folder).rglob("*-cache")]
    for kind, found in times.items():
        clock, cores = zip(*found, strict=True)
        print(
            f"{kind:6} {statistics.median(clock):6.2f} s ({', '.join(f'{t:.2f}' for t in clock)}), "
            f"{statistics.median(cores):.2f} s of all cores"
        )
    print(f"kept: {len(kept)} programs, {sum(kept) / 2**20:.1f} MiB")
    for command in ("--help", "list"):
        took = statistics.median(seconds([command]) for _ in range(starts))
        print(f"rnnexp {command:6} {took:6.2f} s")


if __name__ == "__main__":
    main()
