"""Whether a run goes through its cell's compiled kernel, and if not, why."""

import logging
from functools import lru_cache

import jax
import jax.numpy as jnp
from ml_collections import FrozenConfigDict

from rnnexp.cells.base import Cell
from rnnexp.config.validate import SINGLE_STEPS, first_set
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.scan.kernels import build
from rnnexp.scan.kernels.cpu import threads_of_a_device
from rnnexp.scan.kernels.gpu.layout import PRECISIONS

WANTED = ("auto", "compiled", "scan")
NO_KERNEL = ("model.associative", *SINGLE_STEPS, "regularizer.omega")
"""Keys that, unless 0 or False, do something between two steps or keep what is between them."""
LARGE_WEIGHTS = 1 << 20
"""From so many bytes of a cell's weights on they no longer stay in a core's own cache. A scan
divides every product over all cores, and is faster unless the kernel keeps them all busy."""
HUGE_WEIGHTS = 1 << 23
"""From so many bytes on a scan is as fast in any case: each thread reads them all at every step."""
BLOCK = 32
"""Examples that a thread of the kernel takes of a large batch: `block_count` of problem.h."""
log = logging.getLogger("rnnexp")


def use_kernel(config: FrozenConfigDict, cell: Cell) -> bool:
    """Whether `config.model.kernel` leads to the compiled kernel for this cell.

    A cell that has one and cannot use it here gets a line in the log that says why.

    Raises:
      UsageError: an unknown value, or a kernel that is demanded and cannot be had.
    """
    require_choice("config.model.kernel", config.model.kernel, WANTED)
    _require_precision(config.model.precision)
    scanned = config.model.kernel == "scan"
    why_not = "config.model.kernel is 'scan'" if scanned else obstacle(config, cell)
    if why_not and config.model.precision != "float32":
        raise UsageError(
            f"config.model.precision {config.model.precision!r} is for the fused kernels, "
            f"but {why_not}"
        )
    if scanned:
        return False
    if config.model.kernel == "compiled" and why_not:
        raise UsageError(f"config.model.kernel is 'compiled', but {why_not}")
    if not why_not and config.model.kernel == "auto":
        why_not = drawback(cell, config.train.batch_size)
    if why_not and cell.kernel is not None:
        _say_once(f"{cell.name} is scanned step by step, without its compiled kernel: {why_not}")
    return not why_not


def obstacle(config: FrozenConfigDict, cell: Cell) -> str:
    """What keeps a run from the compiled kernel; empty if nothing does."""
    if cell.kernel is None:
        return f"{cell.name} with these options has no compiled kernel"
    backend = jax.default_backend()
    if backend not in ("cpu", "gpu"):
        return f"there are no compiled kernels for {backend}"
    unfit = (*NO_KERNEL, "model.remat_steps") if backend == "gpu" else NO_KERNEL
    if (key := first_set(config, unfit)) is not None:
        return f"config.{key} needs single steps"
    dtype = jnp.zeros(()).dtype
    if backend == "gpu":
        from rnnexp.scan.kernels.gpu.problem import problem  # Pallas takes a while to import

        return problem(cell.kernel, cell.output_size, dtype.name, config.model.precision)
    return build.problem(cell.kernel, dtype.name)


def drawback(cell: Cell, batch_size: int) -> str:
    """Why a scan is as fast as the compiled kernel on a processor; empty if it is not."""
    if jax.default_backend() != "cpu":
        return ""
    idle = threads_of_a_device() > max(2, batch_size // BLOCK)
    size = cell.parameter_count * jnp.zeros(()).dtype.itemsize
    if size <= (LARGE_WEIGHTS if idle else HUGE_WEIGHTS):
        return ""
    return f"with {cell.parameter_count:,} weights a scan is as fast"


def fused_precision(config: FrozenConfigDict) -> str:
    """The precision of a kernel on a graphics processor; empty on a processor."""
    return config.model.precision if jax.default_backend() == "gpu" else ""


def _require_precision(precision: str) -> None:
    require_choice("config.model.precision", precision, PRECISIONS)
    if precision != "float32" and jax.default_backend() != "gpu":
        raise UsageError(
            f"config.model.precision {precision!r} is for graphics processors; products on a "
            f"{jax.default_backend()} are exact: 'float32'"
        )


@lru_cache(maxsize=64)
def _say_once(text: str) -> None:
    log.info("%s", text)
