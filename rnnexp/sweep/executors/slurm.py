"""Executor `slurm`: submits jobs to a Slurm cluster as job arrays, through submitit.

`--slurm KEY=VALUE` sets the options of `sbatch` that submitit knows (`partition`, `account`,
`qos`, `constraint`, `gres`, `exclude`, `array_parallelism`, `signal_delay_s` …), and these:

| key | meaning | default |
| --- | --- | --- |
| `time` | minutes that a job may run before it is checkpointed and queued again | 240 |
| `max_num_timeout` | how often that may happen | 1000 |
| `cluster` | `slurm`, or `local` to try a sweep on this machine | `slurm` |

A job that is preempted or out of time checkpoints its runs, and Slurm queues it again. If the
process that submitted the jobs is lost, they stay in the queue, where the same sweep finds them.
"""

import json
import logging
import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UsageError, first_line, unknown
from rnnexp.sweep.executors.base import Job, JobSpec, Options, Outcome, make_spec
from rnnexp.sweep.executors.process import POLL_S, Process

log = logging.getLogger("rnnexp")
LOOK_S = 2.0
"""Seconds between two looks at the jobs' states."""
OWN_KEYS = {"time": "240", "max_num_timeout": "1000", "cluster": "slurm"}
SHARED = {"job_name", "nodes", "ntasks_per_node", "num_gpus", "time", "additional_parameters"}
SHARED |= {"stderr_to_stdout", "srun_args", "use_srun", "mem", "cpus_per_task", "gpus_per_node"}
"""Parameters of submitit that are set here or have no meaning for jobs of one process."""
CHECKPOINT_S = 60.0
"""Seconds that a job's process has for its checkpoint."""
PREEMPTED_S = 600.0
"""Seconds after which a preempted job counts as lost if Slurm has not queued it again."""
SIGNAL_WAIT_S = 10.0
"""Slurm may signal a job's processes this long before it signals submitit, which requeues it."""


def open_backend(jobs: Sequence[Job], options: Options) -> "SlurmBackend":
    """A backend for jobs of one sweep.

    Raises `UsageError` if submitit is not installed, Slurm is missing or a setting is wrong.
    """
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UsageError("executor slurm needs submitit: pip install 'rnnexp[slurm]'") from error
    return SlurmBackend(jobs[0].sweep_dir / "slurm", options)


def read_settings(given: Mapping[str, str]) -> dict[str, Any]:
    """The settings with defaults and types; `UsageError` for an unknown key or a bad value."""
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


class SlurmTask:
    """What submitit runs on the cluster: one try of a job, which can be queued again."""

    def __init__(self) -> None:
        self.process: Process | None = None

    def __call__(self, spec: JobSpec) -> Outcome:
        """Start the job's process and wait for its end."""
        self.process = Process(spec)
        try:
            while (outcome := self.process.poll()) is None:
                time.sleep(POLL_S)
            if outcome.status == "evicted" and not (spec.job.sweep_dir / "cancel").exists():
                time.sleep(SIGNAL_WAIT_S)  # submitit calls `checkpoint` within this time
            return outcome
        except KeyboardInterrupt:
            self.process.terminate()
            self.process.wait(CHECKPOINT_S)
            raise
        finally:
            self.process.kill()

    def checkpoint(self, spec: JobSpec) -> Any:
        """Checkpoint the runs; called by submitit's signal handler, which queues the result."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.terminate()
            self.process.wait(CHECKPOINT_S)
        return DelayedSubmission(SlurmTask(), spec)


class SlurmBackend:
    """Submits tries to Slurm's queue and lists them in `submitted.jsonl`, a file of `folder`."""

    capacity = None

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
        """The jobs, by group, that an earlier process submitted and that have not ended."""
        submitted = self.folder / "submitted.jsonl"
        lines = submitted.read_text().splitlines(keepends=True) if submitted.exists() else []
        # A killed process may have left a line without an end.
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        job_class = self.executor._executor.job_class
        latest = {row["group"]: job_class(self.folder, row["job"]) for row in rows}
        for job in list(latest.values())[:1]:
            job.get_info()  # one call of sacct returns the states of all jobs
        return {
            group: job for group, job in latest.items() if not job.done() and job.state != "UNKNOWN"
        }

    def start(self, jobs: Sequence[Job]) -> list[Any]:
        """Submit one array for each set of jobs with the same requirements."""
        started: dict[Job, Any] = {}
        for job in jobs:
            if (found := self.left.pop(job.group, None)) is not None:
                log.info("%s is in the queue already: job %s", job.label, found.job_id)
                started[job] = found
        new = sorted((job for job in jobs if job not in started), key=_requirements)
        for required, alike in groupby(new, key=_requirements):
            array = list(alike)
            started.update(zip(array, self._submit(array, *required), strict=True))
        return [started[job] for job in jobs]

    def _submit(self, jobs: Sequence[Job], memory_gb: float, gpus: int, cpus: int) -> list[Any]:
        more = {f"slurm_{k}": v for k, v in self.settings.items() if k != "time"}
        specs = [make_spec(job, self.module) for job in jobs]
        try:
            self.executor.update_parameters(
                name=jobs[0].sweep_dir.name,
                timeout_min=self.settings["time"],
                cpus_per_task=cpus,
                mem_gb=memory_gb or None,
                gpus_per_node=gpus or None,
                **more,
            )
            submitted: list[Any] = self.executor.map_array(SlurmTask(), specs)
        except Exception as error:  # an error of sbatch comes in a class of submitit's own
            raise UsageError(f"cannot submit to Slurm: {first_line(error)}") from error
        with (self.folder / "submitted.jsonl").open("a") as stream:
            for job, handle in zip(jobs, submitted, strict=True):
                stream.write(json.dumps({"group": job.group, "job": handle.job_id}) + "\n")
                log.info("%s submitted as job %s", job.label, handle.job_id)
        return submitted

    def poll(self, handles: Collection[Any]) -> Iterator[tuple[Any, Outcome]]:
        """Sleep a moment, then yield the jobs that have ended."""
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
            return None  # Slurm may still queue it again
        return Outcome("evicted", f"Slurm job {handle.job_id} was preempted for good")

    def stop(self, handles: Collection[Any]) -> None:
        """Cancel each job: Slurm sends SIGTERM to its processes, and SIGKILL later."""
        self.stopping = True
        for handle in handles:
            handle.cancel(check=False)

    def close(self) -> None:
        """Do nothing: jobs that were not stopped stay in the queue for the next process."""


def _requirements(job: Job) -> tuple[float, int, int]:
    """GiB of memory, GPUs and cores; Slurm allots whole devices."""
    memory_gb = math.ceil((job.memory_bytes or 0) / 2**20) / 2**10
    return memory_gb, math.ceil(job.gpus), math.ceil(job.cpus)


def outcome_of(handle: Any) -> Outcome:
    """The outcome of a Slurm job: what its task returned, or what its state means."""
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
