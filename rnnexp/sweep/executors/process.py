"""Runs one try of a job as a process on this machine, with its output in the group's log."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from rnnexp.sweep.executors.base import BUSY, Job, JobSpec, Outcome

POLL_S = 0.1
LOCK_WAIT_S = 120.0
"""Longer than a file server keeps the locks of a lost machine (NFSv4: 90 s)."""
STOPPED = (130, 143, -signal.SIGINT, -signal.SIGTERM)
"""Exit codes after SIGINT or SIGTERM, with and without a last checkpoint."""


class Process:
    """A try that runs: the child process, and the pipe whose closing would kill it."""

    def __init__(self, spec: JobSpec, *, host: str = "", lock_wait_s: float = LOCK_WAIT_S):
        self.host = host or socket.gethostname()
        self.log_path = spec.job.log_path
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.began = time.monotonic()
        folder = spec.folder if Path(spec.folder).is_dir() else str(spec.job.sweep_dir)
        lock = self.log_path.with_suffix(".lock")
        command = [
            sys.executable, "-m", "rnnexp.sweep.executors.child", str(lock), str(lock_wait_s),
            spec.module, *spec.job.arguments,
        ]  # fmt: skip
        with self.log_path.open("a") as log:
            if folder != spec.folder:
                log.write(f"no folder {spec.folder} here: works in {folder}\n")
            log.flush()
            self.offset = log.tell()
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=os.environ | spec.environment | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C reaches only the parent, which passes it on
            )
            log.write(f"begun on {self.host}, pid {self._popen.pid}\n")

    def poll(self) -> Outcome | None:
        """How the process ended; None while it runs."""
        code = self._popen.poll()
        if code is None:
            return None
        self._close_pipe()
        return self._outcome(code)

    def _outcome(self, code: int) -> Outcome:
        with self.log_path.open(errors="replace") as log:
            log.seek(self.offset)
            lines = [line.strip() for line in log if line.strip()]
        counts = next(filter(None, map(read_counts, reversed(lines))), {})
        last = next((line for line in reversed(lines) if read_counts(line) is None), "")
        seconds = time.monotonic() - self.began
        outcome = outcome_of_exit(code, last.removeprefix("rnnexp: "))
        return Outcome(outcome.status, outcome.reason, counts, self.host, seconds)

    def terminate(self) -> None:
        """Ask the process to checkpoint and end."""
        self._popen.terminate()

    def wait(self, limit_s: float) -> bool:
        """Wait until the process ends; False if it still runs after `limit_s`.

        Leaves the exit code for `poll`. So a signal handler that interrupts `poll` may call it.
        """
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            try:
                options = os.WEXITED | os.WNOWAIT | os.WNOHANG
                if os.waitid(os.P_PID, self._popen.pid, options) is not None:
                    return True
            except ChildProcessError:
                return True
            time.sleep(POLL_S)
        return False

    def kill(self) -> None:
        """Kill the process if it still runs."""
        self._popen.kill()
        self._popen.wait()
        self._close_pipe()

    def _close_pipe(self) -> None:
        if self._popen.stdin is not None:
            self._popen.stdin.close()


def run_here(spec: JobSpec, host: str = "") -> Outcome:
    """Run a try of a job on this machine and wait for its end.

    KeyboardInterrupt, SystemExit or a file at the job's `stop_path`, which is then removed, ask
    the process to checkpoint and end. `host` names this machine in the outcome.
    """
    stop = spec.job.stop_path
    stop.unlink(missing_ok=True)  # meant for an earlier try
    process = Process(spec, host=host)
    try:
        while True:
            try:
                while (outcome := process.poll()) is None:
                    if stop.exists():
                        stop.unlink(missing_ok=True)
                        process.terminate()
                    time.sleep(POLL_S)
                return outcome
            except (KeyboardInterrupt, SystemExit):
                process.terminate()
    finally:
        process.kill()
        stop.unlink(missing_ok=True)


def outcome_of_exit(code: int, last_line: str) -> Outcome:
    """The outcome for an exit code; `last_line` of the log is the reason of a failure."""
    if code == 0:
        return Outcome("done")
    if code in STOPPED:
        return Outcome("evicted", "asked to stop from outside")
    if code == BUSY:
        return Outcome("evicted", last_line)
    if code < 0:
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return Outcome("crashed", f"killed by {signal.Signals(-code).name}{hint}")
    return Outcome("failed", last_line or f"exit code {code}")


def read_counts(line: str) -> dict[str, int] | None:
    """The number of runs by status, if a line of output holds them."""
    try:
        content = json.loads(line)
    except ValueError:
        return None
    if isinstance(content, dict) and all(type(n) is int for n in content.values()):
        return content
    return None


def counts_text(counts: dict[str, int]) -> str:
    """`5 completed, 1 diverged`."""
    return ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))


class LogTail:
    """Follows a group's log from its present end, whichever machine writes it."""

    def __init__(self, job: Job):
        self.job = job
        self._offset = job.log_path.stat().st_size if job.log_path.exists() else 0
        self._rest = ""

    def lines(self) -> list[str]:
        """The lines since the last call, without the counts, which the outcome holds."""
        if not self.job.log_path.exists():
            return []
        with self.job.log_path.open("rb") as log:
            log.seek(self._offset)
            data = log.read()
        self._offset += len(data)
        *whole, self._rest = (self._rest + data.decode(errors="replace")).split("\n")
        return [line.removeprefix("rnnexp: ") for line in whole if read_counts(line) is None]
