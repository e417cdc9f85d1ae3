"""Slurm's commands as far as submitit calls them, for a machine that has none.

`install(FOLDER)` makes `sbatch`, `srun`, `sacct`, `scancel` and `scontrol` there; all call
this file. Jobs run at once; `FOLDER/jobs/ID` holds the number of a job's process.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


def install(folder: Path) -> None:
    """Make the commands; `folder` is to be put on the PATH."""
    (folder / "jobs").mkdir(parents=True)
    for name in COMMANDS:
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} "$0" {name} "$@"\n')
        command.chmod(0o755)


def sbatch(folder: Path, script: str) -> None:
    """Start the tasks of a script's array, or its only one."""
    (folder / "script").write_text(text := Path(script).read_text())
    job = time.time_ns() // 10**6  # submitit remembers the jobs that it has seen end
    array = re.search(r"--array=0-(\d+)", text)
    for index in range(int(array[1]) + 1) if array else [None]:
        own = {"SLURM_JOB_ID": str(job)}
        if index is not None:
            own |= {"SLURM_ARRAY_JOB_ID": str(job), "SLURM_ARRAY_TASK_ID": str(index)}
        process = subprocess.Popen(
            ["bash", script], env=os.environ | own, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        name = str(job) if index is None else f"{job}_{index}"
        (folder / "jobs" / name).write_text(str(process.pid))
        process.returncode = 0  # it is not to be waited for
    sys.stdout.write(f"Submitted batch job {job}\n")


def srun(folder: Path, *arguments: str) -> None:
    """Become the command behind the options."""
    rest = list(arguments)
    while rest[0].startswith("--"):
        rest = rest[1 if rest[0] == "--unbuffered" else 2 :]
    os.execvp(rest[0], rest)


def sacct(folder: Path, *arguments: str) -> None:
    """The state of every job: running, completed, or what the file `ended-ID` says."""
    sys.stdout.write("JobID|State|NodeList\n")
    for job in (folder / "jobs").iterdir():
        command = Path("/proc") / job.read_text() / "cmdline"
        running = command.exists() and command.read_text()  # empty for a zombie
        ended = folder / f"ended-{job.name}"
        otherwise = ended.read_text() if ended.exists() else "COMPLETED"
        sys.stdout.write(f"{job.name}|{'RUNNING' if running else otherwise}|this\n")


def scancel(folder: Path, job: str) -> None:
    """End a job at once."""
    end(folder, job, "CANCELLED by 0")


def end(folder: Path, job: str, state: str) -> None:
    """Kill a job; its state is what is said."""
    (folder / f"ended-{job}").write_text(state)
    session = int((folder / "jobs" / job).read_text())
    os.killpg(session, signal.SIGKILL)


if __name__ == "__main__":
    globals()[sys.argv[2]](Path(sys.argv[1]).parent, *sys.argv[3:])
