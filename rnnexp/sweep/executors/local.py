"""Executor `local`: runs jobs as processes on this machine, a given number at a time."""

import time
from collections.abc import Collection, Iterator, Sequence

from rnnexp.sweep.executors.base import Job, Options, Outcome, make_spec
from rnnexp.sweep.executors.process import POLL_S, Process


def open_backend(jobs: Sequence[Job], options: Options) -> "LocalBackend":
    """A backend for any jobs."""
    del jobs
    return LocalBackend(options.module, options.at_once or 1)


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
