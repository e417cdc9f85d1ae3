"""Executor `local`: processes of this machine, so many at a time."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence

from rnnexp.sweep.executors.base import Job, Options, Outcome, make_order
from rnnexp.sweep.executors.drive import drive
from rnnexp.sweep.executors.process import POLL_S, Process


def run_jobs(
    jobs: Sequence[Job],
    *,
    finished: Callable[[Job, Outcome], None],
    cancelled: Callable[[], bool],
    options: Options,
) -> str:
    """Run jobs in child processes; see `rnnexp.sweep.executors.run_jobs`."""
    site = Local(options.module, options.at_once or 1)
    return drive(site, jobs, finished=finished, cancelled=cancelled, tries=options.tries)


class Local:
    """Child processes of this one; they end when it does."""

    def __init__(self, module: str, at_once: int):
        self.module, self.room = module, at_once
        self.processes: set[Process] = set()

    def start(self, jobs: Sequence[Job]) -> list[Process]:
        """One process a job."""
        started = [Process(make_order(job, self.module)) for job in jobs]
        self.processes.update(started)
        return started

    def poll(self, handles: Collection[Process]) -> Iterator[tuple[Process, Outcome]]:
        """Those that have ended, after a moment's sleep."""
        time.sleep(POLL_S)
        for process in handles:
            if (outcome := process.poll()) is not None:
                self.processes.remove(process)
                yield process, outcome

    def stop(self, handles: Collection[Process]) -> None:
        """SIGTERM to each."""
        for process in handles:
            process.terminate()

    def close(self) -> None:
        """SIGKILL to what is left."""
        for process in self.processes:
            process.kill()
