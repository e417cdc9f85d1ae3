"""A stand-in for `rnnexp.sweep.worker`: counts steps into a file, and resumes counting.

    python -m tests.helpers.counting_worker SWEEP_DIR GROUP

`SWEEP_DIR/behaviour.json` says how many `steps`, of how many `seconds`, which groups are
`bad`, which `crash` whenever they have begun, and at which step they `hold` until there is
a file `SWEEP_DIR/go-GROUP`.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

stops: list[int] = []


def main() -> int:
    """Count to the end, or to a signal; returns the exit code."""
    sweep_dir, group = Path(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda number, frame: stops.append(number))
    behaviour: dict[str, Any] = {"steps": 5, "seconds": 0.02, "bad": [], "crash": [], "hold": -1}
    if (file := sweep_dir / "behaviour.json").exists():
        behaviour |= json.loads(file.read_text())
    if group in behaviour["bad"]:
        sys.stderr.write("rnnexp: config.seed: expected a number\n")
        return 2
    steps = sweep_dir / f"steps-{group}"
    made = len(steps.read_text().splitlines()) if steps.exists() else 0
    sys.stderr.write(f"rnnexp: goes on from step {made}\n")
    while made < behaviour["steps"]:
        if stops or (sweep_dir / "cancel").exists():
            (sweep_dir / f"checkpoints-{group}").open("a").write(f"{made}\n")
            sys.stdout.write('{"interrupted": 1}\n')
            return 143
        time.sleep(behaviour["seconds"])
        if made == behaviour["hold"] and not (sweep_dir / f"go-{group}").exists():
            continue
        with steps.open("a") as stream:
            stream.write(f"{made} {socket.gethostname()} {os.getpid()} {os.getppid()}\n")
        made += 1
        if group in behaviour["crash"]:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.stdout.write('{"completed": 1}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
