"""Hands jobs out, tries again those that were lost, passes stops on, and tells how each ends."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from rnnexp.runtime.signals import StopRequest
from rnnexp.sweep.executors.base import Job, Outcome, Site
from rnnexp.sweep.executors.process import Tail, counts_text

log = logging.getLogger("rnnexp")
EVICTIONS = 100
"""How often a job is tried on another machine; that a machine goes is no fault of the job's."""
LONGEST_PAUSE_S = 30.0
REMIND_S = 10.0
"""Seconds after which jobs that were asked to stop are asked again: on their way to a machine
they may have missed it."""
FOLLOW_S = 1.0
"""Seconds between two looks into the groups' logs."""


def drive(
    site: Site,
    jobs: Sequence[Job],
    *,
    finished: Callable[[Job, Outcome], None],
    cancelled: Callable[[], bool],
    tries: int,
) -> str:
    """Run jobs to their ends; calls `finished` once for each.

    SIGINT, SIGTERM or `cancelled` stop all jobs with a checkpoint. Returns which of them it
    was (`cancelled` for the last), empty if none.
    """
    board = _Board(jobs, finished, tries)
    asked, passed_on = "", -math.inf
    with StopRequest() as stop, closing(site):
        while board.waiting or board.running:
            asked = asked or stop.name or ("cancelled" if cancelled() else "")
            if asked and board.running and time.monotonic() - passed_on >= REMIND_S:
                passed_on = time.monotonic()
                log.info("%s: stops %d job(s)", asked, len(board.running))
                site.stop(list(board.running))
            if asked:
                board.drop_waiting(asked)
            board.begin(site)
            for handle, outcome in site.poll(list(board.running)):
                # What stops a job may be seen by its process first.
                asked = asked or stop.name or ("cancelled" if cancelled() else "")
                board.end(handle, outcome, asked)
            board.follow()
    return asked


class _Board:
    """Which jobs wait, which are under way, and how often each was tried."""

    def __init__(self, jobs: Sequence[Job], finished: Callable[[Job, Outcome], None], tries: int):
        self.waiting = [(0.0, job) for job in jobs]
        """With the time, on the monotonic clock, before which it is not to be begun."""
        self.running: dict[Any, Job] = {}
        self.finished = finished
        self.limits = {"crashed": tries, "evicted": EVICTIONS}
        self.lost: Counter[tuple[Job, str]] = Counter()
        self.tries: Counter[Job] = Counter()
        self.tails = {job: Tail(job) for job in jobs}
        self.followed = time.monotonic()

    def begin(self, site: Site) -> None:
        """Start what may start now."""
        now = time.monotonic()
        due = [(start, job) for start, job in self.waiting if start <= now]
        if site.room is not None:
            due = due[: max(0, site.room - len(self.running))]
        if not due:
            return
        self.waiting = [entry for entry in self.waiting if entry not in due]
        started = [job for _, job in due]
        self.tries.update(started)
        self.running.update(zip(site.start(started), started, strict=True))

    def end(self, handle: Any, outcome: Outcome, asked: str) -> None:
        """A try has ended: the job is finished, or waits for its next try."""
        job = self.running.pop(handle)
        self._tell(job)
        outcome = replace(outcome, tries=self.tries[job])
        if asked and outcome.status in ("crashed", "evicted"):
            outcome = replace(outcome, status="interrupted", reason=asked)
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

    def drop_waiting(self, asked: str) -> None:
        """Finish jobs that are not under way."""
        dropped, self.waiting = self.waiting, []
        for _, job in dropped:
            state = "waited for its next try" if self.tries[job] else "not begun"
            self._finish(job, Outcome("interrupted", f"{asked}; {state}", tries=self.tries[job]))

    def _finish(self, job: Job, outcome: Outcome) -> None:
        parts: list[str] = [outcome.status]
        if outcome.host:
            parts.append(f"on {outcome.host} after {outcome.seconds:.0f} s")
        if outcome.tries > 1:
            parts.append(f"in {outcome.tries} tries")
        details = "; ".join(filter(None, [outcome.reason, counts_text(outcome.counts)]))
        level = logging.ERROR if outcome.status == "failed" else logging.INFO
        log.log(level, "%s: %s%s", job.label, " ".join(parts), f": {details}" * bool(details))
        self.finished(job, outcome)

    def follow(self) -> None:
        """Pass on, now and then, what the processes have written."""
        if time.monotonic() - self.followed >= FOLLOW_S:
            self.followed = time.monotonic()
            self._tell(*self.running.values())

    def _tell(self, *jobs: Job) -> None:
        for job in jobs:
            for line in self.tails[job].lines():
                log.info("%s: %s", job.label, line.removeprefix(f"group {job.group}: "))
