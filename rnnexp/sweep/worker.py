"""Trains one group of a sweep in a process of its own: `python -m rnnexp.sweep.worker DIR GROUP`.

The code of the user's that the sweep needs is named by `--import SHA256:PATH`; the sweep's
directory may come from a stranger, so nothing that it names is loaded.

All runs of a group share a compiled program and train on its lanes. A worker that was killed
and is started again trains only what is missing.
"""

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rnnexp.core.errors import RunError, UsageError, first_line
from rnnexp.core.files import file_sha256, to_json
from rnnexp.core.load_module import load_imports
from rnnexp.run.files import read_status
from rnnexp.runtime.signals import BUDGET
from rnnexp.sweep.directory import cancelled, read_header, runs_dir_of
from rnnexp.sweep.plan import SETTLED, read_plan, run_status

log = logging.getLogger("rnnexp")
PROGRESS_S = 10.0
"""Seconds between two log lines on the progress of a group."""
STOPPED_CODE = 143
"""Exit code if runs were interrupted: that of SIGTERM, which executors send."""


def work(sweep_dir: Path, group: int, imports: Sequence[str] = ()) -> dict[str, int]:
    """Train all runs of a group that are not settled; returns the number of runs by status.

    Must be the first in its process to use JAX: on a CPU it makes a device of every core.
    """
    header = read_header(sweep_dir)
    load_imports([_verified(file) for file in imports])
    runs_dir = runs_dir_of(sweep_dir)
    group_runs = [run for run in read_plan(sweep_dir) if run.group == group]
    missing = [run for run in group_runs if run_status(runs_dir / run.run) not in SETTLED]
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
            width=header.get("width"),
            cpus=header.get("cpus"),
            should_stop=lambda: cancelled(sweep_dir),
            on_run_end=progress_logger(
                f"group {group}", len(group_runs), len(group_runs) - len(missing)
            ),
        )
    return dict(Counter(run_status(runs_dir / run.run) for run in group_runs))


def out_of_time(sweep_dir: Path, group: int) -> bool:
    """Whether the interrupted runs of a group stopped at the end of their time budget.

    Then the group has done what it should: it is not begun again before the same sweep is.
    """
    runs_dir = runs_dir_of(sweep_dir)
    found = [read_status(runs_dir / run.run) for run in read_plan(sweep_dir) if run.group == group]
    reasons = [s["reason"] for s in found if s is not None and s["status"] == "interrupted"]
    return all(reason.startswith(BUDGET) for reason in reasons)


def _verified(file: str) -> str:
    """The path of a file given as `SHA256:PATH`; `UsageError` if its content is another."""
    digest, _, path = file.partition(":")
    try:
        found = file_sha256(Path(path))
    except OSError as error:
        raise UsageError(f"cannot read the imported file {path}: {error.strerror}") from error
    if found != digest:
        raise UsageError(f"the imported file {path} has changed since the sweep was started")
    return path


def progress_logger(name: str, total: int, done: int) -> Callable[[str], None]:
    """A callback for the status of each run that ends; it logs the counts every `PROGRESS_S`.

    Args:
      total: runs of the group; `done` of them had ended before this process began.
    """
    counts: Counter[str] = Counter()
    last = time.monotonic()

    def on_run_end(status: str) -> None:
        nonlocal last
        counts[status] += 1
        ended = done + sum(counts.values())
        if time.monotonic() - last >= PROGRESS_S or ended == total:
            last = time.monotonic()
            parts = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
            log.info("%s: %d of %d runs ended (%s)", name, ended, total, parts)

    return on_run_end


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; prints the number of runs by status as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep_dir", type=Path)
    parser.add_argument("group", type=int)
    parser.add_argument("--import", dest="imports", action="append", default=[])
    known = parser.parse_args(arguments)
    logging.basicConfig(format="rnnexp: %(message)s", level=logging.ERROR)
    log.setLevel(logging.INFO)
    try:
        counts = work(known.sweep_dir, known.group, known.imports)
    except (UsageError, RunError) as error:
        log.error("%s", first_line(error))
        return error.exit_code
    sys.stdout.write(to_json(counts) + "\n")
    stopped = counts.get("interrupted", 0) > 0 and not out_of_time(known.sweep_dir, known.group)
    return STOPPED_CODE if stopped else 0


if __name__ == "__main__":
    sys.exit(main())
