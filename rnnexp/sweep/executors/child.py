"""The first lines of a job's process: `python -m … LOCK WAIT_S MODULE ARGUMENTS`.

Runs MODULE as a program under two guarantees. It never outlives whoever started it: the
starter holds the other end of standard input, so end of file there means that it is gone,
and the process kills itself as a lost machine would. And it is the only one that works on
its group: a process whose starter was lost a moment ago may take a moment to go, so the
lock is waited for. Whatever it kills or keeps out resumes from the runs' checkpoints.
"""

import fcntl
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

BUSY = 75
"""Exit code where another process works on the group (EX_TEMPFAIL of sysexits.h)."""


def main() -> None:
    """The process's body; arguments as in the module's first line."""
    lock, wait_s, module = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    # Slurm signals every process of a job; what is meant for the starter must not kill.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    threading.Thread(target=_die_with_starter, daemon=True).start()
    held = _take(lock, wait_s)
    if held is None:
        sys.stderr.write(f"another process holds {lock}\n")
        sys.exit(BUSY)
    with held:
        sys.argv = sys.argv[3:]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _die_with_starter() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _take(path: Path, wait_s: float) -> TextIO | None:
    """The open, locked file; None if it is still held after so many seconds."""
    stream = path.open("a")
    deadline = time.monotonic() + wait_s
    said = False
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return stream
        except BlockingIOError:
            if time.monotonic() > deadline:
                stream.close()
                return None
        if not said:
            sys.stderr.write("waits for a process that still works on this group\n")
            said = True
        time.sleep(0.1)


if __name__ == "__main__":
    main()
