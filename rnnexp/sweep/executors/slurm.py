"""Executor `slurm`: jobs go to a Slurm cluster as job arrays, through submitit.

`--slurm KEY=VALUE` sets, besides the options of `sbatch` that submitit knows (`partition`,
`account`, `qos`, `constraint`, `gres`, `exclude`, `array_parallelism`, `signal_delay_s` …):

| key | what | default |
| --- | --- | --- |
| `time` | minutes that a job may run before it is checkpointed and queued again | 240 |
| `max_num_timeout` | how often that may happen | 1000 |
| `cluster` | `slurm`, or `local` to try a sweep out on this machine | `slurm` |

Jobs that are preempted or out of time checkpoint, and Slurm queues them again. They stay in
the queue if the process that submitted them is lost; the same sweep finds them there.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UsageError, first_line, unknown
from rnnexp.sweep.executors.base import Job, Options, Order, Outcome, make_order
from rnnexp.sweep.executors.drive import drive
from rnnexp.sweep.executors.process import POLL_S, Process

log = logging.getLogger("rnnexp")
LOOK_S = 2.0
OWN_KEYS = {"time": "240", "max_num_timeout": "1000", "cluster": "slurm"}
SHARED = {"job_name", "nodes", "ntasks_per_node", "num_gpus", "time", "additional_parameters"}
SHARED |= {"stderr_to_stdout", "srun_args", "use_srun", "mem", "cpus_per_task", "gpus_per_node"}
"""Parameters of submitit that are set here, or mean nothing for jobs of one process."""
CHECKPOINT_S = 60.0
PREEMPTED_S = 600.0
SIGNAL_WAIT_S = 10.0
"""Slurm may tell a job's processes to end a moment before it tells submitit to queue it again."""


def run_jobs(
    jobs: Sequence[Job],
    *,
    finished: Callable[[Job, Outcome], None],
    cancelled: Callable[[], bool],
    options: Options,
) -> str:
    """Run jobs as Slurm job arrays; see `rnnexp.sweep.executors.run_jobs`."""
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UsageError("executor slurm needs submitit: pip install 'rnnexp[slurm]'") from error
    if not jobs:
        return ""
    site = Slurm(jobs[0].sweep_dir / "slurm", options)
    return drive(site, jobs, finished=finished, cancelled=cancelled, tries=options.tries)


def read_settings(given: Mapping[str, str]) -> dict[str, Any]:
    """The settings with their defaults and types; `UsageError` for an unknown or bad one."""
    from submitit.slurm.slurm import SlurmExecutor

    known = {*OWN_KEYS, *(SlurmExecutor._valid_parameters() - SHARED)}
    for key in given:
        if key not in known:
            raise unknown("--slurm key", key, known)
    settings: dict[str, Any] = {k: _value(v) for k, v in (OWN_KEYS | dict(given)).items()}
    for key in ("time", "max_num_timeout"):
        if not isinstance(settings[key], int):
            unit = "minutes" if key == "time" else "times"
            raise UsageError(f"--slurm {key}={settings[key]}: expected a whole number of {unit}")
    for key in {"setup", "teardown"} & set(settings):
        settings[key] = [settings[key]]
    return settings


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return text


class Task:
    """What submitit runs on the cluster: one try of a job, queued again when it must leave."""

    def __init__(self) -> None:
        self.process: Process | None = None

    def __call__(self, order: Order) -> Outcome:
        """Start the job's process and wait for its end."""
        self.process = Process(order)
        try:
            while (outcome := self.process.poll()) is None:
                time.sleep(POLL_S)
            if outcome.status == "evicted" and not (order.job.sweep_dir / "cancel").exists():
                time.sleep(SIGNAL_WAIT_S)  # `checkpoint` is to be called in this time
            return outcome
        except KeyboardInterrupt:
            self.process.terminate()
            self.process.wait(CHECKPOINT_S)
            raise
        finally:
            self.process.kill()

    def checkpoint(self, order: Order) -> Any:
        """Called by submitit's signal handler: checkpoint; what is returned is queued again."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.terminate()
            self.process.wait(CHECKPOINT_S)
        return DelayedSubmission(Task(), order)


class Slurm:
    """Jobs in Slurm's queue, and the list of them in the sweep's directory."""

    room = None

    def __init__(self, folder: Path, options: Options):
        import submitit

        self.settings = read_settings(options.slurm)
        self.module, self.folder = options.module, folder
        cluster = self.settings.pop("cluster")
        timeouts = {"slurm_max_num_timeout": self.settings.pop("max_num_timeout")}
        try:
            self.executor = submitit.AutoExecutor(folder, cluster=cluster, **timeouts)
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(f"cannot use Slurm: {first_line(error)}") from error
        self.preempted: dict[Any, float] = {}
        self.stopping = False
        self.left = self._left_in_queue()
        log.info("Slurm jobs of up to %d minutes; files in %s", self.settings["time"], folder)

    def _left_in_queue(self) -> dict[int, Any]:
        """By group, the jobs that an earlier process submitted and that have not ended."""
        submitted = self.folder / "submitted.jsonl"
        lines = submitted.read_text().splitlines(keepends=True) if submitted.exists() else []
        # A line without an end was being written when its process was killed.
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        job_class = self.executor._executor.job_class
        latest = {row["group"]: job_class(self.folder, row["job"]) for row in rows}
        for job in list(latest.values())[:1]:
            job.get_info()  # one call of sacct asks after all
        return {
            group: job for group, job in latest.items() if not job.done() and job.state != "UNKNOWN"
        }

    def start(self, jobs: Sequence[Job]) -> list[Any]:
        """Submit an array for each set of jobs that ask for the same."""
        started: dict[Job, Any] = {}
        for job in jobs:
            if (found := self.left.pop(job.group, None)) is not None:
                log.info("%s is in the queue already: job %s", job.label, found.job_id)
                started[job] = found
        new = sorted((job for job in jobs if job not in started), key=_needs)
        for needs, alike in groupby(new, key=_needs):
            array = list(alike)
            started.update(zip(array, self._submit(array, *needs), strict=True))
        return [started[job] for job in jobs]

    def _submit(self, jobs: Sequence[Job], memory_gb: float, gpus: int, cpus: int) -> list[Any]:
        more = {f"slurm_{k}": v for k, v in self.settings.items() if k != "time"}
        orders = [make_order(job, self.module) for job in jobs]
        try:
            self.executor.update_parameters(
                name=jobs[0].sweep_dir.name,
                timeout_min=self.settings["time"],
                cpus_per_task=cpus,
                mem_gb=memory_gb or None,
                gpus_per_node=gpus or None,
                **more,
            )
            submitted: list[Any] = self.executor.map_array(Task(), orders)
        except Exception as error:  # whatever sbatch said, in submitit's own class of error
            raise UsageError(f"cannot submit to Slurm: {first_line(error)}") from error
        with (self.folder / "submitted.jsonl").open("a") as stream:
            for job, handle in zip(jobs, submitted, strict=True):
                stream.write(json.dumps({"group": job.group, "job": handle.job_id}) + "\n")
                log.info("%s submitted as job %s", job.label, handle.job_id)
        return submitted

    def poll(self, handles: Collection[Any]) -> Iterator[tuple[Any, Outcome]]:
        """Those that have ended, after a moment's sleep."""
        time.sleep(LOOK_S)
        for handle in handles:
            outcome = self._look(handle)
            if outcome is not None:
                yield handle, outcome

    def _look(self, handle: Any) -> Outcome | None:
        if handle.done(force_check=self.stopping):
            return outcome_of(handle)
        if not str(handle.state).startswith("PREEMPTED"):
            self.preempted.pop(handle, None)
            return None
        since = self.preempted.setdefault(handle, time.monotonic())
        if time.monotonic() - since < PREEMPTED_S:
            return None  # Slurm is to queue it again
        return Outcome("evicted", f"Slurm job {handle.job_id} was preempted for good")

    def stop(self, handles: Collection[Any]) -> None:
        """`scancel` each: Slurm sends SIGTERM to its processes, and SIGKILL later."""
        self.stopping = True
        for handle in handles:
            handle.cancel(check=False)

    def close(self) -> None:
        """Nothing: jobs that were not stopped stay in the queue, for the next driver."""


def _needs(job: Job) -> tuple[float, int, int]:
    """GiB of memory, GPUs and cores, as Slurm gives them out: whole devices."""
    memory_gb = math.ceil((job.memory_bytes or 0) / 2**20) / 2**10
    return memory_gb, math.ceil(job.gpus), math.ceil(job.cpus)


def outcome_of(handle: Any) -> Outcome:
    """How a Slurm job ended: what its task returned, or what its state means."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        outcome: Outcome = handle.result()
        return outcome
    except FailedJobError as error:
        lines = [line for line in str(error).splitlines() if "Error" in line]
        return Outcome("failed", lines[-1] if lines else first_line(error))
    except UncompletedJobError:
        state = str(handle.state)
    reason = f"Slurm job {handle.job_id} ended as {state}"
    if state.startswith("CANCELLED"):
        return Outcome("interrupted", reason)
    lost = state.startswith(("NODE_FAIL", "BOOT_FAIL", "TIMEOUT"))
    return Outcome("evicted" if lost else "crashed", reason)
