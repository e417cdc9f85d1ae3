"""Schedules jobs on a backend: starts them, retries lost ones, passes stops on, reports ends."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from rnnexp.runtime.signals import StopRequest
from rnnexp.sweep.executors.base import Backend, Job, Outcome
from rnnexp.sweep.executors.process import LogTail, counts_text

log = logging.getLogger("rnnexp")
EVICTIONS = 100
"""Tries of a job that lost its machine; many, as that is not the job's fault."""
LONGEST_PAUSE_S = 30.0
"""Longest pause before another try."""
REMIND_S = 10.0
"""Seconds after which running jobs are asked to stop again; a job that was being started may have
missed the first request."""
FOLLOW_S = 1.0
"""Seconds between two reads of the groups' logs."""


def run_to_end(
    backend: Backend,
    jobs: Sequence[Job],
    *,
    on_job_end: Callable[[Job, Outcome], None],
    cancelled: Callable[[], bool],
    tries: int,
    on_tick: Callable[[Collection[Job]], None] = lambda running: None,
) -> str:
    """Run jobs to their ends; calls `on_job_end` once for each.

    SIGINT, SIGTERM or `cancelled` checkpoint and stop all jobs. Returns which of them it was
    (`cancelled` for the last), or "".

    Args:
      tries: how often a job is tried in all if its process crashes.
      on_tick: called again and again with the jobs that run, or wait in a cluster's queue.
    """
    queue = _JobQueue(jobs, on_job_end, tries)
    reason, passed_on = "", -math.inf
    with StopRequest() as stop, closing(backend):
        while queue.waiting or queue.running:
            reason = reason or stop.name or ("cancelled" if cancelled() else "")
            if reason and queue.running and time.monotonic() - passed_on >= REMIND_S:
                passed_on = time.monotonic()
                log.info("%s: stops %d job(s)", reason, len(queue.running))
                backend.stop(list(queue.running))
            if reason:
                queue.drop_waiting(reason)
            queue.start(backend)
            for handle, outcome in backend.poll(list(queue.running)):
                # A job's process may have seen the stop before this one did.
                reason = reason or stop.name or ("cancelled" if cancelled() else "")
                queue.end(handle, outcome, reason)
            queue.follow()
            on_tick(tuple(queue.running.values()))
    return reason


class _JobQueue:
    """Which jobs wait, which run, and how often each was tried."""

    def __init__(self, jobs: Sequence[Job], on_job_end: Callable[[Job, Outcome], None], tries: int):
        self.waiting = [(0.0, job) for job in jobs]
        """Each with the earliest time of its next try, on the monotonic clock."""
        self.running: dict[Any, Job] = {}
        self.on_job_end = on_job_end
        self.limits = {"crashed": tries, "evicted": EVICTIONS}
        self.lost: Counter[tuple[Job, str]] = Counter()
        self.tries: Counter[Job] = Counter()
        self.tails = {job: LogTail(job) for job in jobs}
        self.followed = time.monotonic()

    def start(self, backend: Backend) -> None:
        """Start the jobs whose time has come, as far as the backend has capacity."""
        now = time.monotonic()
        due = [(start, job) for start, job in self.waiting if start <= now]
        if backend.capacity is not None:
            due = due[: max(0, backend.capacity - len(self.running))]
        if not due:
            return
        self.waiting = [entry for entry in self.waiting if entry not in due]
        started = [job for _, job in due]
        self.tries.update(started)
        self.running.update(zip(backend.start(started), started, strict=True))

    def end(self, handle: Any, outcome: Outcome, stop_reason: str) -> None:
        """Take in a try that ended: the job ends, or waits for its next try."""
        job = self.running.pop(handle)
        self._log_output(job)
        outcome = replace(outcome, tries=self.tries[job])
        if stop_reason and outcome.status in ("crashed", "evicted"):
            outcome = replace(outcome, status="interrupted", reason=stop_reason)
        if outcome.status not in self.limits:
            self._finish(job, outcome)
            return
        self.lost[job, outcome.status] += 1
        count = self.lost[job, outcome.status]
        if count >= self.limits[outcome.status]:
            reason = f"{outcome.reason}; given up after {outcome.tries} tries"
            self._finish(job, replace(outcome, status="failed", reason=reason))
            return
        pause = min(LONGEST_PAUSE_S, 0.5 * 2**outcome.tries)
        where = f" on {outcome.host}" if outcome.host else ""
        log.warning("%s lost%s: %s; begun again in %g s", job.label, where, outcome.reason, pause)
        self.waiting.append((time.monotonic() + pause, job))

    def drop_waiting(self, stop_reason: str) -> None:
        """End the jobs that do not run."""
        dropped, self.waiting = self.waiting, []
        for _, job in dropped:
            state = "waited for its next try" if self.tries[job] else "not begun"
            self._finish(
                job, Outcome("interrupted", f"{stop_reason}; {state}", tries=self.tries[job])
            )

    def _finish(self, job: Job, outcome: Outcome) -> None:
        parts: list[str] = [outcome.status]
        if outcome.host:
            parts.append(f"on {outcome.host} after {outcome.seconds:.0f} s")
        if outcome.tries > 1:
            parts.append(f"in {outcome.tries} tries")
        details = "; ".join(filter(None, [outcome.reason, counts_text(outcome.counts)]))
        level = logging.ERROR if outcome.status == "failed" else logging.INFO
        log.log(level, "%s: %s%s", job.label, " ".join(parts), f": {details}" * bool(details))
        self.on_job_end(job, outcome)

    def follow(self) -> None:
        """Log what the processes have written, every `FOLLOW_S`."""
        if time.monotonic() - self.followed >= FOLLOW_S:
            self.followed = time.monotonic()
            self._log_output(*self.running.values())

    def _log_output(self, *jobs: Job) -> None:
        for job in jobs:
            for line in self.tails[job].lines():
                log.info("%s: %s", job.label, line.removeprefix(f"group {job.group}: "))
