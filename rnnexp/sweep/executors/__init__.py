"""Executors: where the groups of a sweep are trained.

| name | where |
| --- | --- |
| `local` | processes of this machine |
| `ray` | a Ray cluster |
| `slurm` | a Slurm cluster, through submitit |
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.sweep.executors.base import Job, Options, Outcome

__all__ = ["EXECUTORS", "Job", "Options", "Outcome", "run_jobs"]


EXECUTORS = {
    "local": "rnnexp.sweep.executors.local",
    "ray": "rnnexp.sweep.executors.ray",
    "slurm": "rnnexp.sweep.executors.slurm",
}
"""The module of each executor, imported when it is asked for."""
_FLAGS = {"local": "--jobs", "ray": "--address", "slurm": "--slurm"}


def run_jobs(
    executor: str,
    jobs: Sequence[Job],
    *,
    finished: Callable[[Job, Outcome], None],
    cancelled: Callable[[], bool] = lambda: False,
    options: Options | None = None,
) -> str:
    """Run jobs to their ends on one of the executors.

    `finished` is called once for each job, with status `done`, `failed` or `interrupted`.
    A process that crashes or loses its machine is begun again and goes on from the runs'
    checkpoints. SIGINT, SIGTERM (in the main thread) or `cancelled` stop all jobs with a
    checkpoint; a second SIGINT kills them.

    Returns:
      What stopped the jobs before their ends: `SIGINT`, `SIGTERM`, `cancelled` or empty.

    Raises:
      UsageError: an unknown executor, one whose package or cluster is missing, or an option
        of another executor.
    """
    require_choice("executor", executor, EXECUTORS)
    options = options or Options()
    owners = {"local": options.at_once, "ray": options.address, "slurm": options.slurm}
    for owner, value in owners.items():
        if value and owner != executor:
            raise UsageError(f"{_FLAGS[owner]} is for executor {owner}, not {executor}")
    placed = [replace(job, sweep_dir=job.sweep_dir.absolute()) for job in jobs]
    by_place = dict(zip(placed, jobs, strict=True))
    module = importlib.import_module(EXECUTORS[executor])
    reason: str = module.run_jobs(
        placed,
        finished=lambda job, outcome: finished(by_place[job], outcome),
        cancelled=cancelled,
        options=options,
    )
    return reason
