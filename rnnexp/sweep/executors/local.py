"""Executor `local`: runs jobs as processes on this machine, a given number at a time."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence

from rnnexp.sweep.executors.base import Job, Options, Outcome, make_spec
from rnnexp.sweep.executors.process import POLL_S, Process
from rnnexp.sweep.executors.scheduler import run_to_end


def run_jobs(
    jobs: Sequence[Job],
    *,
    on_job_end: Callable[[Job, Outcome], None],
    cancelled: Callable[[], bool],
    options: Options,
) -> str:
    """Run jobs in child processes; see `rnnexp.sweep.executors.run_jobs`."""
    backend = LocalBackend(options.module, options.at_once or 1)
    return run_to_end(
        backend, jobs, on_job_end=on_job_end, cancelled=cancelled, tries=options.tries
    )


class LocalBackend:
    """Runs each try in a child process; children end with this process."""

    def __init__(self, module: str, at_once: int):
        self.module, self.capacity = module, at_once
        self.processes: set[Process] = set()

    def start(self, jobs: Sequence[Job]) -> list[Process]:
        """Start one process for each job."""
        started = [Process(make_spec(job, self.module)) for job in jobs]
        self.processes.update(started)
        return started

    def poll(self, handles: Collection[Process]) -> Iterator[tuple[Process, Outcome]]:
        """Sleep a moment, then yield the processes that have ended."""
        time.sleep(POLL_S)
        for process in handles:
            if (outcome := process.poll()) is not None:
                self.processes.remove(process)
                yield process, outcome

    def stop(self, handles: Collection[Process]) -> None:
        """Send SIGTERM to each process."""
        for process in handles:
            process.terminate()

    def close(self) -> None:
        """Send SIGKILL to all processes that are left."""
        for process in self.processes:
            process.kill()
