"""What executors share: jobs, how they end, and what a place to run them must offer."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

WORKER = "rnnexp.sweep.worker"
CARRIED = ("RNNEXP_", "JAX_", "XLA_")
"""Environment variables that go along to other machines begin like this."""

Status = Literal["done", "failed", "interrupted", "crashed", "evicted"]


@dataclass(frozen=True)
class Job:
    """One group of a sweep, and what its process is to be given.

    `cpus` and `gpus` count (parts of) devices; None for `memory_bytes` asks for no share.
    `sweep_dir` must be reachable under the same path wherever the job may run.
    """

    sweep_dir: Path
    group: int
    name: str = ""
    memory_bytes: int | None = None
    gpus: float = 0.0
    cpus: float = 1.0

    @property
    def label(self) -> str:
        """How log lines call it."""
        return f"group {self.group}" + (f" ({self.name})" if self.name else "")

    @property
    def log_path(self) -> Path:
        """Where the output of its processes goes, one after another."""
        return self.sweep_dir / "logs" / f"group-{self.group:05d}.log"

    @property
    def stop_path(self) -> Path:
        """A file there asks whoever runs the job, on whatever machine, to stop it."""
        return self.log_path.with_suffix(".stop")


@dataclass(frozen=True)
class Outcome:
    """How a job ended, or one try of it.

    | status | means |
    | --- | --- |
    | `done` | the process came to its end; `counts` has its runs by status |
    | `failed` | it gave up, or crashed too often; `reason` says why |
    | `interrupted` | it was asked to stop |
    | `crashed` | a try: the process was killed or died; tried again a few times |
    | `evicted` | a try: the machine went away or asked it to leave; tried again |

    Callers of an executor only see the first three.
    """

    status: Status
    reason: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    host: str = ""
    seconds: float = 0.0
    tries: int = 1


@dataclass(frozen=True)
class Order:
    """All that another machine needs to start a job's process."""

    job: Job
    module: str
    folder: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Options:
    """Settings of the executors; each reads its own.

    Args:
      tries: how often a job is begun again after its process crashed, plus one.
      module: the module that does a job, run as `python -m MODULE SWEEP_DIR GROUP`.
      at_once: local: how many processes at a time.
      address: ray: `HOST:PORT` of the head, or `auto` on a machine of the cluster.
      slurm: slurm: see `rnnexp.sweep.executors.slurm`.
    """

    tries: int = 3
    module: str = WORKER
    at_once: int | None = None
    address: str | None = None
    slurm: Mapping[str, str] = field(default_factory=dict)


class Site(Protocol):
    """A place where jobs run. A handle is whatever hashable value stands for one try."""

    @property
    def room(self) -> int | None:
        """How many tries may be under way; None: any number, the place has its own queue."""

    def start(self, jobs: Sequence[Job]) -> list[Any]:
        """Begin a try of each job; returns their handles in the same order."""

    def poll(self, handles: Collection[Any]) -> Iterable[tuple[Any, Outcome]]:
        """Those that have ended; waits a moment if none has."""

    def stop(self, handles: Collection[Any]) -> None:
        """Ask tries to checkpoint and end."""

    def close(self) -> None:
        """End whatever is still under way, at once."""


def make_order(job: Job, module: str) -> Order:
    """An order to be carried out in this folder and with the variables of `CARRIED`."""
    carried = {k: v for k, v in os.environ.items() if k.startswith(CARRIED)}
    return Order(job, module, os.getcwd(), carried)
