"""A process that hands jobs to an executor, for tests that signal or kill such a process.

    python -m tests.helpers.drive_jobs EXECUTOR SWEEP_DIR GROUPS [KEY=VALUE...]

Its log goes to standard error; its last line of output tells the outcomes as JSON.
KEY=VALUE are options of executors; `cpus`, `memory_bytes`: of the jobs.
"""

import json
import logging
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rnnexp.sweep.executors import Job, Options, Outcome, run_jobs


def main() -> None:
    """Run jobs 0 … GROUPS - 1 of the stand-in worker, unless `module` names another."""
    executor, folder, groups, *pairs = sys.argv[1:]
    given = dict(pair.split("=", 1) for pair in pairs)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    begun = time.monotonic()
    options = Options(
        module=given.get("module", "tests.helpers.counting_worker"),
        address=given.get("address"),
        at_once=int(given["at_once"]) if "at_once" in given else None,
        tries=int(given.get("tries", 3)),
    )
    outcomes: dict[int, dict[str, object]] = {}

    def finished(job: Job, outcome: Outcome) -> None:
        assert job.group not in outcomes, "told twice"
        outcomes[job.group] = asdict(outcome)

    sweep_dir = Path(folder)
    jobs = [
        Job(sweep_dir, group, memory_bytes=int(given.get("memory_bytes", 0)) or None)
        for group in range(int(groups))
    ]
    stopped_by = run_jobs(
        executor, jobs, on_job_end=finished, options=options,
        cancelled=lambda: (sweep_dir / "cancel").exists(),
    )  # fmt: skip
    seconds = time.monotonic() - begun
    content = {"stopped_by": stopped_by, "outcomes": outcomes, "seconds": seconds}
    sys.stdout.write(json.dumps(content | {"pid": os.getpid()}) + "\n")


if __name__ == "__main__":
    main()
