"""A run that kills itself with SIGKILL at the n-th file operation below its directory.

    python killed_run.py RUNS_DIR N

Python reports opens, renames, removals and new folders to audit hooks, so the kill
falls between any two of them: in the middle of a checkpoint, of a Zarr resize, of a
status file. N = 0: not killed; prints how many operations there were.
"""

import os
import signal
import sys
from pathlib import Path

OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")
count = 0


def main() -> None:
    """Train a small experiment to its end, or to the kill."""
    runs_dir, last = Path(sys.argv[1]).absolute(), int(sys.argv[2])

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        global count
        if event in OPERATIONS and str(arguments[0]).startswith(str(runs_dir)):
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)

    from rnnexp.run.run import run
    from tests.helpers.small_run import small_config

    sys.addaudithook(hook)
    result = run(small_config(), runs_dir=runs_dir)
    print(result.status, count)


if __name__ == "__main__":
    main()
