"""The entry point of a job's process: `python -m … LOCK WAIT_S MODULE ARGUMENTS`.

Runs MODULE as a program under two guarantees.

1. The process never outlives its parent. The parent holds the other end of standard input, so
   end of file there means that the parent is gone; the process then kills itself.
2. No other process works on the group, because each holds the group's lock. A process whose
   parent was lost may take a moment to end, so a new one waits for the lock.

Runs of a process that was killed or kept out go on from their checkpoints.
"""

import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from rnnexp.core.errors import UsageError
from rnnexp.core.locks import try_lock
from rnnexp.sweep.executors.base import BUSY


def main() -> None:
    """Run the module; the arguments are those in the first line of this file."""
    lock, wait_s, module = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    # Slurm signals every process of a job, also with a signal that only the parent handles.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        held = _take(lock, wait_s)
    except UsageError as error:
        sys.stderr.write(f"rnnexp: {error}\n")
        sys.exit(error.exit_code)
    if held is None:
        sys.stderr.write(f"another process holds {lock}\n")
        sys.exit(BUSY)
    with held:
        sys.argv = sys.argv[3:]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _die_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _take(path: Path, wait_s: float) -> TextIO | None:
    """The file, opened and locked; None if another process holds it for longer than `wait_s`."""
    stream = path.open("a")
    deadline = time.monotonic() + wait_s
    said = False
    while True:
        if try_lock(stream, path):
            return stream
        if time.monotonic() > deadline:
            stream.close()
            return None
        if not said:
            sys.stderr.write("waits for a process that still works on this group\n")
            said = True
        time.sleep(0.1)


if __name__ == "__main__":
    main()
