"""Executor `ray`: every try of a job is a task on a Ray cluster.

The cluster's machines need this package, and the sweep's directory under the same path.
A task only starts the job's process and waits for it, so that each job has a fresh process,
and stopping it, or losing the task's own process or machine, ends it for certain.
"""

import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from rnnexp.core.errors import UsageError, first_line
from rnnexp.sweep.executors.base import Job, Options, Order, Outcome, make_order
from rnnexp.sweep.executors.drive import drive
from rnnexp.sweep.executors.process import run_here

log = logging.getLogger("rnnexp")
POLL_S = 0.5
CONNECT_S = 10.0


def run_jobs(
    jobs: Sequence[Job],
    *,
    finished: Callable[[Job, Outcome], None],
    cancelled: Callable[[], bool],
    options: Options,
) -> str:
    """Run jobs on the cluster at `options.address`; see `rnnexp.sweep.executors.run_jobs`."""
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
    try:
        warn_of_what_no_node_has(jobs, ray.nodes())
        site = Ray(options.module)
        return drive(site, jobs, finished=finished, cancelled=cancelled, tries=options.tries)
    finally:
        ray.shutdown()


def connect(address: str) -> None:
    """Make this process a driver of the cluster; `UsageError` if that cannot be."""
    import ray

    if "://" in address:
        raise UsageError(
            f"--address={address}: expected HOST:PORT or auto, given on a machine of the cluster"
        )
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit():  # Ray itself would wait for many minutes
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"cannot use a Ray cluster at {address}: {first_line(error)}") from error
    nodes = [node for node in ray.nodes() if node["Alive"]]
    log.info(
        "Ray cluster at %s: %d nodes, %s", address, len(nodes),
        resources_text(ray.cluster_resources()),
    )  # fmt: skip


def demands(job: Job) -> dict[str, float]:
    """What a job asks of a node, by Ray's names of resources."""
    asked = {"CPU": job.cpus, "GPU": job.gpus, "memory": float(job.memory_bytes or 0)}
    return {name: amount for name, amount in asked.items() if amount > 0}


def resources_text(resources: dict[str, float]) -> str:
    """`4 CPU, 1 GPU, 8.0 GiB memory`."""
    parts = [f"{resources[name]:g} {name}" for name in ("CPU", "GPU") if name in resources]
    if "memory" in resources:
        parts.append(f"{resources['memory'] / 2**30:.1f} GiB memory")
    return ", ".join(parts)


def warn_of_what_no_node_has(jobs: Sequence[Job], nodes: Sequence[dict[str, Any]]) -> None:
    """Say how many jobs must wait until a larger node joins the cluster."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    for text, count in Counter(
        resources_text(asked)
        for asked in map(demands, jobs)
        if not any(all(node.get(k, 0) >= v for k, v in asked.items()) for node in alive)
    ).items():
        log.warning(
            "%d jobs ask for %s, which no node of the cluster has: they wait until one joins",
            count, text,
        )  # fmt: skip


def run_on_node(order: Order) -> Outcome:
    """The task: `run_here` on one of the cluster's nodes. Cancelling it interrupts `run_here`."""
    import ray

    return run_here(order, f"{socket.gethostname()} ({ray.util.get_node_ip_address()})")


class Ray:
    """The tasks that this driver has sent to its cluster, with their jobs; a handle is a task's
    reference."""

    room = None

    def __init__(self, module: str):
        import ray

        # Tries are counted by `drive`, which also says why: Ray is not to repeat any itself.
        self.remote = ray.remote(max_retries=0, retry_exceptions=False)(run_on_node)
        self.module = module
        self.jobs: dict[Any, Job] = {}

    def start(self, jobs: Sequence[Job]) -> list[Any]:
        """One task a job; the cluster's scheduler has them wait for what they ask for."""
        started = [
            self.remote.options(
                name=job.label,
                num_cpus=job.cpus,
                num_gpus=job.gpus,
                memory=job.memory_bytes,
                scheduling_strategy="SPREAD",  # by default one node is filled first
            ).remote(make_order(job, self.module))
            for job in jobs
        ]
        self.jobs.update(zip(started, jobs, strict=True))
        return started

    def poll(self, handles: Collection[Any]) -> Iterator[tuple[Any, Outcome]]:
        """Those that have ended within a moment."""
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
        """Cancel each; `run_here` sees a KeyboardInterrupt, or else a file, and passes SIGTERM on.

        Ray raises that interrupt once, and where the task has only just begun it can be lost.
        """
        import ray

        for reference in handles:
            stop = self.jobs[reference].stop_path
            stop.parent.mkdir(parents=True, exist_ok=True)
            stop.touch()
            ray.cancel(reference, force=False)

    def close(self) -> None:
        """Kill the processes of tasks that are left."""
        import ray

        for reference in self.jobs:
            ray.cancel(reference, force=True)


def outcome_of(reference: Any) -> Outcome:
    """How a task ended: what it returned, or what its error means."""
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
