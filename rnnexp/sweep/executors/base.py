"""What executors share: jobs, their outcomes, and the interface of a backend that runs them."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

WORKER = "rnnexp.sweep.worker"
CARRIED = ("RNNEXP_", "JAX_", "XLA_")
"""Prefixes of the environment variables that are passed on to other machines."""
BUSY = 75
"""Exit code of a process if another one works on its group (EX_TEMPFAIL of sysexits.h)."""

Status = Literal["done", "failed", "interrupted", "crashed", "evicted"]


@dataclass(frozen=True)
class Job:
    """One group of a sweep and the resources that its process requests.

    Attributes:
      sweep_dir: must have the same path on every machine where the job may run.
      name: of the group's experiment, for log lines.
      memory_bytes: None requests no particular amount.
      gpus, cpus: numbers of devices, or parts of one.
      imports: files of the user's that the process loads first, each as `SHA256:PATH`.
    """

    sweep_dir: Path
    group: int
    name: str = ""
    memory_bytes: int | None = None
    gpus: float = 0.0
    cpus: float = 1.0
    imports: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The arguments of the module that does the job."""
        flags = [part for file in self.imports for part in ("--import", file)]
        return [str(self.sweep_dir), str(self.group), *flags]

    @property
    def label(self) -> str:
        """The job's name in log lines."""
        return f"group {self.group}" + (f" ({self.name})" if self.name else "")

    @property
    def log_path(self) -> Path:
        """The file to which all processes of the job append their output."""
        return self.sweep_dir / "logs" / f"group-{self.group:05d}.log"

    @property
    def stop_path(self) -> Path:
        """A file whose existence asks the machine that runs the job to stop it."""
        return self.log_path.with_suffix(".stop")


@dataclass(frozen=True)
class Outcome:
    """How a job, or one try of it, ended.

    | status | meaning |
    | --- | --- |
    | `done` | the process finished; `counts` holds the number of its runs by status |
    | `failed` | the process gave up or crashed too often; `reason` says why |
    | `interrupted` | the process was asked to stop |
    | `crashed` | of a try: the process died or was killed; it is tried again a few times |
    | `evicted` | of a try: the machine was lost or evicted the job; it is tried again |

    Callers of an executor see only the first three.
    """

    status: Status
    reason: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    host: str = ""
    seconds: float = 0.0
    tries: int = 1


@dataclass(frozen=True)
class JobSpec:
    """All that another machine needs to start a job's process.

    Attributes:
      module: run as `python -m MODULE SWEEP_DIR GROUP [--import SHA256:PATH ...]`.
      folder: the working directory, if the machine has it.
      environment: variables that are added to the machine's own.
    """

    job: Job
    module: str
    folder: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Options:
    """Settings of the executors; each reads its own.

    Args:
      tries: how often a job is tried in all if its process crashes.
      module: the module that does a job, run as `python -m MODULE SWEEP_DIR GROUP`.
      at_once: local: how many processes run at a time.
      address: ray: `HOST:PORT` of the head, or `auto` on a machine of the cluster.
      slurm: slurm: see `rnnexp.sweep.executors.slurm`.
    """

    tries: int = 3
    module: str = WORKER
    at_once: int | None = None
    address: str | None = None
    slurm: Mapping[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """Runs tries of jobs. A handle is any hashable value that identifies a try."""

    @property
    def capacity(self) -> int | None:
        """How many tries may run at a time; None: the backend has a queue of its own."""

    def start(self, jobs: Sequence[Job]) -> list[Any]:
        """Start a try of each job; returns their handles in the same order."""

    def poll(self, handles: Collection[Any]) -> Iterable[tuple[Any, Outcome]]:
        """The tries that have ended, with their outcomes; waits a moment if none has."""

    def stop(self, handles: Collection[Any]) -> None:
        """Ask tries to checkpoint and end."""

    def close(self) -> None:
        """Kill all tries that still run."""


def make_spec(job: Job, module: str) -> JobSpec:
    """A job's specification, with this process's folder and its variables of `CARRIED`."""
    carried = {k: v for k, v in os.environ.items() if k.startswith(CARRIED)}
    return JobSpec(job, module, os.getcwd(), carried)
