"""The devices over which a run divides its batches, and the placement of its arrays.

A mesh has one axis, the batch. Parameters, optimiser states and data sets are whole on
every device; states that are carried from batch to batch are divided. With one device
nothing is moved. `rnnexp.train.data_parallel` says what each device computes.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Tree

BATCH_AXIS = "batch"
"""The axis of the mesh over which a batch is divided."""
WHOLE: Any = P()
DIVIDED: Any = P(BATCH_AXIS)
SHUTDOWN_S = 30  # for which a process that failed alone waits for the others


def prepare(devices: int) -> None:
    """Let JAX divide the CPU into that many devices.

    Call it before anything computes; `make_mesh` raises if it was too late. After `join`,
    which has divided the CPU, it does nothing.
    """
    if devices > 1 and not jax.distributed.is_initialized():
        _divide_processor(devices)


def join(
    coordinator: str, num_processes: int, process_id: int, *, devices: int | None = None
) -> None:
    """Become one of the processes of a run; call it before anything else uses JAX.

    Args:
      coordinator: HOST:PORT at which process 0 listens and which all can reach.
      num_processes: how many there are.
      process_id: 0 to `num_processes` - 1; process 0 writes the run's files.
      devices: `config.devices`, of all processes together; None: one a process.

    Raises `UsageError` for numbers out of range, or if JAX has started or joined already.
    JAX aborts the process if the others do not join within five minutes.
    """
    if not 0 <= process_id < num_processes:
        raise UsageError(
            f"the process id must be 0 to {num_processes - 1}, the number of processes less 1; "
            f"it is {process_id}"
        )
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"the coordinator is given as HOST:PORT, not {coordinator!r}")
    require_divisible(devices or num_processes, num_processes)
    _divide_processor((devices or num_processes) // num_processes)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            coordinator, num_processes, process_id, shutdown_timeout_seconds=SHUTDOWN_S
        )
    except RuntimeError as error:
        raise UsageError(
            f"process {process_id} of {num_processes} cannot join at {coordinator}: {error}"
        ) from error


def process_count() -> int:
    """How many processes compute the run; a single one does not start JAX for it."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def _divide_processor(number: int) -> None:
    there: int = getattr(jax.config, "jax_num_cpu_devices")  # noqa: B009  untyped in JAX
    if number <= max(1, there):
        return
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return  # JAX takes only one of the two settings
    try:
        jax.config.update("jax_num_cpu_devices", number)
    except RuntimeError:
        return  # JAX has started; `make_mesh` checks whether its devices suffice


def require_divisible(devices: int, processes: int) -> None:
    """Raise `UsageError` unless every process has the same number of the devices."""
    if devices % processes:
        raise UsageError(
            f"config.devices is {devices}, which {processes} processes cannot share equally; "
            f"it must be a multiple of {processes}"
        )


def require_devices(devices: int, batch_size: int) -> None:
    """Raise `UsageError` unless the devices exist and divide a batch equally."""
    require_divisible(devices, process_count())
    if batch_size % devices:
        raise UsageError(
            f"config.train.batch_size {batch_size} cannot be divided equally over "
            f"config.devices {devices}"
        )
    if devices > 1:
        make_mesh(devices)


def make_mesh(devices: int) -> Mesh:
    """The devices of a run, equally many a process; `UsageError` if there are too few."""
    processes = process_count()
    each = devices // processes
    chosen = []
    for process in range(processes):
        local = [device for device in jax.devices() if device.process_index == process]
        if len(local) < each:
            raise UsageError(_too_few(devices, each, local))
        chosen += local[:each]
    return Mesh(np.array(chosen), (BATCH_AXIS,))


def _too_few(devices: int, each: int, local: list[jax.Device]) -> str:
    platform = local[0].platform if local else jax.default_backend()
    where = f"process {local[0].process_index} has" if process_count() > 1 else "there are"
    text = (
        f"config.devices is {devices}{f' ({each} a process)' * (each != devices)}, but {where} "
        f"{len(local)} ({platform})"
    )
    if platform == "cpu":
        text += (
            "; the command line divides a processor into as many as asked for, which JAX allows "
            "only before its first computation: from Python, set JAX_NUM_CPU_DEVICES="
            f"{each} in the environment"
        )
    return text


def place(devices: int, tree: Tree) -> Tree:
    """A tree of arrays, whole on every device."""
    return _placed(devices, tree, WHOLE)


def divide(devices: int, tree: Tree) -> Tree:
    """A tree of arrays whose first axis, the batch, is divided over the devices."""
    return _placed(devices, tree, DIVIDED)


def _placed(devices: int, tree: Tree, spec: Any) -> Tree:
    if devices == 1:
        return tree
    sharding = NamedSharding(make_mesh(devices), spec)

    def put(x: Array) -> Any:
        if sharding.is_fully_addressable:
            return jax.device_put(x, sharding)
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            data = put(jax.random.key_data(x))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
        values = np.asarray(x)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: values[index])

    return jax.tree.map(put, tree)


def on_host(tree: Tree) -> Tree:
    """The whole arrays of a tree, in every process; all processes must call this."""

    def fetch(x: Array) -> np.ndarray:
        if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
            return np.asarray(x)
        return np.asarray(multihost_utils.process_allgather(x, tiled=True))

    return jax.tree.map(fetch, tree)
