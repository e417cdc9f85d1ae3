"""Executor `ray`: runs each try of a job as a task on a Ray cluster.

The cluster's machines need this package, and the sweep's directory under the same path. A task
starts the job's process and waits for it. So each job has a fresh process, and that process ends
for certain if the task is stopped or its worker or machine is lost.
"""

import logging
import socket
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from rnnexp.core.errors import UsageError, first_line
from rnnexp.sweep.executors.base import Job, JobSpec, Options, Outcome, make_spec
from rnnexp.sweep.executors.process import run_here

log = logging.getLogger("rnnexp")
POLL_S = 0.5
CONNECT_S = 10.0


def open_backend(jobs: Sequence[Job], options: Options) -> "RayBackend":
    """A backend on the cluster at `options.address`.

    Raises `UsageError` if Ray is not installed, or no cluster is named or reached.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError("executor ray needs Ray: pip install 'rnnexp[ray]'") from error
    if options.address is None:
        raise UsageError(
            "executor ray needs a cluster: --address=HOST:PORT of its head, or --address=auto "
            "on one of its machines; `ray start --head` begins one"
        )
    connect(options.address)
    warn_of_unmet_requirements(jobs, ray.nodes())
    return RayBackend(options.module)


def connect(address: str) -> None:
    """Make this process a driver of the cluster; `UsageError` if that fails."""
    import ray

    if "://" in address:
        raise UsageError(
            f"--address={address}: expected HOST:PORT or auto, given on a machine of the cluster"
        )
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit():  # Ray itself waits for many minutes
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"cannot use a Ray cluster at {address}: {first_line(error)}") from error
    nodes = [node for node in ray.nodes() if node["Alive"]]
    log.info(
        "Ray cluster at %s: %d nodes, %s", address, len(nodes),
        resources_text(ray.cluster_resources()),
    )  # fmt: skip


def requirements(job: Job) -> dict[str, float]:
    """The resources that a job requests of a node, under Ray's names for them."""
    requested = {"CPU": job.cpus, "GPU": job.gpus, "memory": float(job.memory_bytes or 0)}
    return {name: amount for name, amount in requested.items() if amount > 0}


def resources_text(resources: dict[str, float]) -> str:
    """Resources as text, such as `4 CPU, 1 GPU, 8.0 GiB memory`."""
    parts = [f"{resources[name]:g} {name}" for name in ("CPU", "GPU") if name in resources]
    if "memory" in resources:
        parts.append(f"{resources['memory'] / 2**30:.1f} GiB memory")
    return ", ".join(parts)


def warn_of_unmet_requirements(jobs: Sequence[Job], nodes: Sequence[dict[str, Any]]) -> None:
    """Log how many jobs must wait until a larger node joins the cluster."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    for text, count in Counter(
        resources_text(requested)
        for requested in map(requirements, jobs)
        if not any(all(node.get(k, 0) >= v for k, v in requested.items()) for node in alive)
    ).items():
        log.warning(
            "%d jobs ask for %s, which no node of the cluster has: they wait until one joins",
            count, text,
        )  # fmt: skip


def run_on_node(spec: JobSpec) -> Outcome:
    """The task: `run_here` on one of the cluster's nodes. Cancelling it interrupts `run_here`."""
    import ray

    return run_here(spec, f"{socket.gethostname()} ({ray.util.get_node_ip_address()})")


class RayBackend:
    """Runs tries as tasks of a Ray cluster; a handle is the task's object reference."""

    capacity = None

    def __init__(self, module: str):
        import ray

        # The scheduler counts and logs the tries, so Ray must not repeat any itself.
        self.remote = ray.remote(max_retries=0, retry_exceptions=False)(run_on_node)
        self.module = module
        self.jobs: dict[Any, Job] = {}

    def start(self, jobs: Sequence[Job]) -> list[Any]:
        """Submit one task for each job; Ray starts it when a node has the requested resources."""
        started = [
            self.remote.options(
                name=job.label,
                num_cpus=job.cpus,
                num_gpus=job.gpus,
                memory=job.memory_bytes,
                scheduling_strategy="SPREAD",  # the default fills one node first
            ).remote(make_spec(job, self.module))
            for job in jobs
        ]
        self.jobs.update(zip(started, jobs, strict=True))
        return started

    def poll(self, handles: Collection[Any]) -> Iterator[tuple[Any, Outcome]]:
        """Wait a moment, then yield the tasks that have ended."""
        import ray

        if not handles:
            time.sleep(POLL_S)
            return
        ray.wait(list(handles), num_returns=1, timeout=POLL_S)
        ended, _ = ray.wait(list(handles), num_returns=len(handles), timeout=0)
        for reference in ended:
            del self.jobs[reference]
            yield reference, outcome_of(reference)

    def stop(self, handles: Collection[Any]) -> None:
        """Cancel each task, and write the file that asks `run_here` to stop.

        Ray raises KeyboardInterrupt in a task only once, and a task that is just starting can
        miss it.
        """
        import ray

        for reference in handles:
            stop = self.jobs[reference].stop_path
            stop.parent.mkdir(parents=True, exist_ok=True)
            stop.touch()
            ray.cancel(reference, force=False)

    def close(self) -> None:
        """Kill the processes of all tasks that are left, and disconnect."""
        import ray

        for reference in self.jobs:
            ray.cancel(reference, force=True)
        ray.shutdown()


def outcome_of(reference: Any) -> Outcome:
    """The outcome of a task: what it returned, or what its error means."""
    import ray
    from ray import exceptions

    try:
        outcome: Outcome = ray.get(reference)
        return outcome
    except exceptions.TaskCancelledError:
        return Outcome("evicted", "the task was cancelled")
    except exceptions.RayTaskError as error:
        return Outcome("failed", f"{type(error.cause).__name__}: {first_line(error.cause)}")
    except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
        return Outcome("crashed", first_line(error))
    except exceptions.RayError as error:
        return Outcome("evicted", first_line(error).partition(" This can happen")[0])
