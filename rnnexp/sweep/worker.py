"""A process that trains one group of a sweep: `python -m rnnexp.sweep.worker DIR GROUP`.

All runs of a group share a compiled program and stand on its lanes. Killed at any moment
and started again, it makes only what is missing.
"""

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rnnexp.core.errors import RunError, UsageError, first_line
from rnnexp.core.files import to_json
from rnnexp.core.load_module import load_module
from rnnexp.sweep.plan import (
    SETTLED,
    cancelled,
    read_header,
    read_plan,
    run_status,
    runs_dir_of,
)

log = logging.getLogger("rnnexp")
TELL_S = 10.0
"""Seconds between two lines that say how far a group is."""
STOPPED = {"SIGINT": 130, "SIGTERM": 143, "cancelled": 143}


def work(sweep_dir: Path, group: int) -> dict[str, int]:
    """Train all runs of a group that are not settled; returns how many stand in each status.

    Must be the first in its process to use JAX: on a CPU it makes a device of every core.
    """
    header = read_header(sweep_dir)
    imported = [Path(file) for file in header.get("imports", [])]
    for file in imported:
        load_module(str(file), "imported file")
    runs_dir = runs_dir_of(sweep_dir)
    mine = [run for run in read_plan(sweep_dir) if run.group == group]
    missing = [run for run in mine if run_status(runs_dir / run.run) not in SETTLED]
    if missing:
        from rnnexp.runtime.allocator import keep_memory
        from rnnexp.runtime.compilation_cache import keep_programs
        from rnnexp.sweep.lanes import train_lanes

        keep_memory()
        keep_programs()
        data_dir = None if header.get("data_dir") is None else Path(header["data_dir"])
        train_lanes(
            missing,
            runs_dir=runs_dir,
            data_dir=data_dir,
            imported=imported,
            width=header.get("width"),
            cpus=header.get("cpus"),
            stopped=lambda: cancelled(sweep_dir),
            told=teller(f"group {group}", len(mine), len(mine) - len(missing)),
        )
    return dict(Counter(run_status(runs_dir / run.run) for run in mine))


def teller(name: str, total: int, done: int) -> Callable[[str], None]:
    """What is told of every run that ends: now and then a line, and one of each bad end."""
    counts: Counter[str] = Counter()
    last = time.monotonic()

    def told(status: str) -> None:
        nonlocal last
        counts[status] += 1
        ended = done + sum(counts.values())
        if time.monotonic() - last >= TELL_S or ended == total:
            last = time.monotonic()
            parts = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
            log.info("%s: %d of %d runs ended (%s)", name, ended, total, parts)

    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """The process's body; prints the counts as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep_dir", type=Path)
    parser.add_argument("group", type=int)
    known = parser.parse_args(arguments)
    logging.basicConfig(format="rnnexp: %(message)s", level=logging.ERROR)
    log.setLevel(logging.INFO)
    try:
        counts = work(known.sweep_dir, known.group)
    except (UsageError, RunError) as error:
        log.error("%s", first_line(error))
        return error.exit_code
    sys.stdout.write(to_json(counts) + "\n")
    stopped = counts.get("interrupted", 0) > 0
    return STOPPED["SIGTERM"] if stopped else 0


if __name__ == "__main__":
    sys.exit(main())
