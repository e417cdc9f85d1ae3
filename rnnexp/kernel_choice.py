"""Whether a run goes through its cell's compiled kernel, and if not, why."""

import logging
from functools import lru_cache

import jax
import jax.numpy as jnp
from ml_collections import FrozenConfigDict

from rnnexp.cells.base import Cell
from rnnexp.errors import UsageError, require_choice
from rnnexp.kernels import build

WANTED = ("auto", "compiled", "scan")
SINGLE_STEPS = (
    "model.associative",
    "model.cut_steps",
    "model.remat_steps",
    "model.recurrent_dropout",
    "model.zoneout",
    "clip.adjoint_limit",
    "regularizer.omega",
)
"""Keys that, unless 0 or False, do something between two steps or keep what is between them."""
LARGE_WEIGHTS = 1 << 20
"""From so many bytes of a cell's weights on its scan is as fast: each thread of the kernel reads
all of them at every step, and they no longer stay in its own cache."""
log = logging.getLogger("rnnexp")


def use_kernel(config: FrozenConfigDict, cell: Cell) -> bool:
    """Whether `config.model.kernel` leads to the compiled kernel for this cell.

    A cell that has one and cannot use it here gets a line in the log that says why.

    Raises:
      UsageError: an unknown value, or a kernel that is demanded and cannot be had.
    """
    require_choice("config.model.kernel", config.model.kernel, WANTED)
    if config.model.kernel == "scan":
        return False
    why_not = obstacle(config, cell)
    if config.model.kernel == "compiled" and why_not:
        raise UsageError(f"config.model.kernel is 'compiled', but {why_not}")
    if why_not and cell.kernel is not None:
        _say_once(f"{cell.name} is scanned step by step, without its compiled kernel: {why_not}")
    return not why_not


def obstacle(config: FrozenConfigDict, cell: Cell) -> str:
    """What keeps a run from the compiled kernel; empty if nothing does."""
    if cell.kernel is None:
        return f"{cell.name} with these options has no compiled kernel"
    if jax.default_backend() != "cpu":
        return f"the compiled kernels are for processors, not for {jax.default_backend()}"
    for key in SINGLE_STEPS:
        section, name = key.split(".")
        if config[section][name]:
            return f"config.{key} needs single steps"
    if cell.parameter_count * jnp.zeros(()).dtype.itemsize > LARGE_WEIGHTS:
        return f"with {cell.parameter_count:,} weights a scan is as fast"
    return build.problem(cell.kernel, jnp.zeros(()).dtype.name)


@lru_cache(maxsize=64)
def _say_once(text: str) -> None:
    log.info("%s", text)
