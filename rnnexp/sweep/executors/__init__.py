"""Executors: they run each group of a sweep as a job, in a process of its own.

| name | where jobs run |
| --- | --- |
| `local` | on this machine |
| `ray` | on a Ray cluster |
| `slurm` | on a Slurm cluster, through submitit |
"""

import importlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.sweep.executors.base import Backend, Job, Options, Outcome
from rnnexp.sweep.executors.scheduler import run_to_end

__all__ = ["EXECUTORS", "Job", "Options", "Outcome", "run_jobs"]


EXECUTORS = {
    "local": "rnnexp.sweep.executors.local",
    "ray": "rnnexp.sweep.executors.ray",
    "slurm": "rnnexp.sweep.executors.slurm",
}
"""The module of each executor, imported only when it is used; each has `open_backend`."""
_FLAGS = {"local": "--jobs", "ray": "--address", "slurm": "--slurm"}


def run_jobs(
    executor: str,
    jobs: Sequence[Job],
    *,
    on_job_end: Callable[[Job, Outcome], None],
    cancelled: Callable[[], bool] = lambda: False,
    options: Options | None = None,
    on_tick: Callable[[Collection[Job]], None] = lambda running: None,
) -> str:
    """Run jobs to their ends on one of the executors.

    `on_job_end` is called once for each job, with status `done`, `failed` or `interrupted`.
    A job whose process crashes, or whose machine is lost, is started again and goes on from the
    runs' checkpoints. SIGINT, SIGTERM (in the main thread) or `cancelled` checkpoint and stop
    all jobs; a second SIGINT kills them. `on_tick` is called several times a second, on Slurm
    every two, with the jobs that run or wait in a cluster's queue.

    Returns:
      What stopped the jobs before their ends: `SIGINT`, `SIGTERM`, `cancelled` or "".

    Raises:
      UsageError: for an unknown executor, a missing package or cluster, or an option of another
        executor.
    """
    require_choice("executor", executor, EXECUTORS)
    options = options or Options()
    owners = {"local": options.at_once, "ray": options.address, "slurm": options.slurm}
    for owner, value in owners.items():
        if value and owner != executor:
            raise UsageError(f"{_FLAGS[owner]} is for executor {owner}, not {executor}")
    if not jobs:
        return ""
    absolute = [replace(job, sweep_dir=job.sweep_dir.absolute()) for job in jobs]
    given = dict(zip(absolute, jobs, strict=True))
    module = importlib.import_module(EXECUTORS[executor])
    backend: Backend = module.open_backend(absolute, options)
    return run_to_end(
        backend,
        absolute,
        on_job_end=lambda job, outcome: on_job_end(given[job], outcome),
        cancelled=cancelled,
        tries=options.tries,
        on_tick=lambda running: on_tick([given[job] for job in running]),
    )
