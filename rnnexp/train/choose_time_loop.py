"""The time loop of a run: a scan, the cell's compiled kernel, or all steps at once.

It depends on the configuration, the cell, the device and, for Newton's iteration, the initial
weights. A run that does not use a kernel or iteration that it could has a logged reason.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from ml_collections import FrozenConfigDict

from rnnexp.cells.base import Cell
from rnnexp.config.validate import SINGLE_STEPS, first_set
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.types import Batch, Tree
from rnnexp.gradflow.position_losses import Model, apply, spans, stacks, with_time_loop
from rnnexp.laboratory.lag_gradients import take_examples
from rnnexp.laboratory.lyapunov import lyapunov_spectrum
from rnnexp.laboratory.measure import step_by_step
from rnnexp.laboratory.settings import Laboratory, choose_examples, fit_unit, shared_steps
from rnnexp.models.forward import ForwardOptions
from rnnexp.scan.kernels import build
from rnnexp.scan.kernels.cpu import threads_of_a_device
from rnnexp.scan.kernels.gpu.layout import PRECISIONS
from rnnexp.scan.unroll import TimeLoop, reading_context

KERNELS = ("auto", "compiled", "scan")
CUT = "model.cut_steps"
"""The key of truncated backpropagation, which a processor's kernel does, but not in segments."""
NO_KERNEL = (
    "model.associative",
    *(key for key in SINGLE_STEPS if key != CUT),
    "regularizer.omega",
)
"""Keys that, unless 0 or False, act between two steps or store what is between them."""
LARGE_WEIGHTS = 1 << 20
"""Bytes of a cell's weights that exceed a core's own cache. A scan divides every product over all
cores, and is then faster unless the kernel uses all cores."""
WIDE_WEIGHTS = 1 << 23
"""Bytes from which on the kernel's threads divide a cell's units, and not the batch: `divided` of
recurrence.h."""
BLOCK, MOST_BLOCKS = 32, 16
"""Examples of a large batch for one thread of the kernel, and most of such blocks."""
EXAMPLES = 8  # trajectories for the exponents, the longest of the first batch
log = logging.getLogger("rnnexp")

Exponents = Mapping[str, float]
"""The largest Lyapunov exponent of every unit, nats per step; NaN where there is none."""


class Reason(NamedTuple):
    """A reason for the choice of the time loop, and its level in the log."""

    text: str
    level: int = logging.INFO


class NewtonDecision(NamedTuple):
    """The result of `config.model.newton`: the method in use, or "", and the exponents of the
    initial network, empty if the configuration does not name a method."""

    method: str = ""
    exponents: Exponents = MappingProxyType({})


class TimeLoopChoice(NamedTuple):
    """The time loop of a run, the decision on Newton's iteration, and the reasons."""

    time_loop: TimeLoop
    newton: NewtonDecision
    reasons: tuple[Reason, ...]


def time_loop_of(config: FrozenConfigDict) -> TimeLoop:
    """The time loop by `config.model` alone: a scan, or the cell's own associative path."""
    names = ("associative", "cut_steps", "remat_steps")
    return TimeLoop(**{name: config.model[name] for name in names})


def choose_time_loop(
    config: FrozenConfigDict, cell: Cell, find_exponents: Callable[[], Exponents] = dict
) -> TimeLoopChoice:
    """The time loop of a run of this configuration.

    Args:
      cell: that of the first layer.
      find_exponents: called if `config.model.newton` names a method, which is used if all
        exponents are negative.

    Raises:
      UsageError: an unknown value, or a required kernel or precision that is not available.
    """
    kernel, reasons = _decide_kernel(config, cell)
    newton, more = _decide_newton(config.model.newton, find_exponents)
    loop = time_loop_of(config)._replace(kernel=kernel, fused=fused_precision(config))
    if newton.method:
        loop = loop._replace(newton=newton.method, kernel=False)
    return TimeLoopChoice(loop, newton, (*reasons, *more))


def graphdef_with(graphdef: Any, params: Tree, time_loop: TimeLoop) -> Any:
    """A model's static part with another time loop."""
    model = nnx.merge(graphdef, params)
    if all(stack.structure.time_loop == time_loop for stack in stacks(model)):
        return graphdef
    return nnx.graphdef(with_time_loop(model, lambda _: time_loop))


def describe(time_loop: TimeLoop) -> str:
    """`compiled kernel`, `fused kernel, ...`, `associative scan`, `Newton's iteration (METHOD)`
    or `scan`."""
    if time_loop.kernel:
        fused = f"fused kernel, products in {time_loop.fused}"
        return fused if time_loop.fused else "compiled kernel"
    if time_loop.newton:
        return f"Newton's iteration ({time_loop.newton})"
    return "associative scan" if time_loop.associative else "scan"


def log_reasons(reasons: Iterable[Reason]) -> None:
    """Log every reason, each once a process."""
    for reason in reasons:
        _log_once(reason)


@lru_cache(maxsize=64)
def _log_once(reason: Reason) -> None:
    log.log(reason.level, "%s", reason.text)


def _decide_kernel(config: FrozenConfigDict, cell: Cell) -> tuple[bool, list[Reason]]:
    """Whether the run uses the compiled kernel, with a reason if the cell has one in vain."""
    wanted, precision = config.model.kernel, config.model.precision
    require_choice("config.model.kernel", wanted, KERNELS)
    require_choice("config.model.precision", precision, PRECISIONS)
    if precision != "float32" and jax.default_backend() != "gpu":
        raise UsageError(
            f"config.model.precision {precision!r} is for graphics processors; products on a "
            f"{jax.default_backend()} are exact: 'float32'"
        )
    why_not = "config.model.kernel is 'scan'" if wanted == "scan" else obstacle(config, cell)
    if why_not and precision != "float32":
        raise UsageError(
            f"config.model.precision {precision!r} is for the fused kernels, but {why_not}"
        )
    if wanted == "scan":
        return False, []
    if wanted == "compiled" and why_not:
        raise UsageError(f"config.model.kernel is 'compiled', but {why_not}")
    if not why_not and wanted == "auto":
        why_not = drawback(cell, config.train.batch_size)
    if not why_not or cell.kernel is None:
        return not why_not, []
    text = f"{cell.name} is scanned step by step, without its compiled kernel: {why_not}"
    return False, [Reason(text)]


def obstacle(config: FrozenConfigDict, cell: Cell) -> str:
    """Why a run cannot use the compiled kernel; empty if it can."""
    if cell.kernel is None:
        return f"{cell.name} with these options has no compiled kernel"
    backend = jax.default_backend()
    if backend not in ("cpu", "gpu"):
        return f"there are no compiled kernels for {backend}"
    unfit = (*NO_KERNEL, CUT, "model.remat_steps") if backend == "gpu" else NO_KERNEL
    if backend == "cpu" and config.model.remat_steps:
        unfit = (*NO_KERNEL, CUT)
    if (key := first_set(config, unfit)) is not None:
        return f"config.{key} needs single steps"
    dtype = jnp.zeros(()).dtype
    if backend == "gpu":
        from rnnexp.scan.kernels.gpu.problem import problem  # Pallas takes a while to import

        return problem(cell.kernel, cell.output_size, dtype.name, config.model.precision)
    return build.problem(cell.kernel, dtype.name)


def drawback(cell: Cell, batch_size: int) -> str:
    """Why a scan is as fast as the compiled kernel on a CPU; empty if it is not."""
    if jax.default_backend() != "cpu":
        return ""
    blocks = min(max(2, batch_size // BLOCK), MOST_BLOCKS)
    size = cell.parameter_count * jnp.zeros(()).dtype.itemsize
    if batch_size < BLOCK // 2 or threads_of_a_device() <= blocks:
        return ""
    if size <= LARGE_WEIGHTS or size >= WIDE_WEIGHTS:
        return ""
    return (
        f"with {cell.parameter_count:,} weights a scan is as fast on more cores than there are "
        f"blocks of {BLOCK} examples, {blocks} here"
    )


def fused_precision(config: FrozenConfigDict) -> str:
    """The precision of a kernel on a GPU; empty on a CPU."""
    return config.model.precision if jax.default_backend() == "gpu" else ""


def _decide_newton(
    method: str, find_exponents: Callable[[], Exponents]
) -> tuple[NewtonDecision, list[Reason]]:
    """Use Newton's iteration if `method` names one and all exponents are negative."""
    if method == "none":
        return NewtonDecision(), []
    exponents = find_exponents()
    listed = ", ".join(f"{name} {value:+.3g}" for name, value in exponents.items())
    if not all(value < 0 for value in exponents.values()):
        text = (
            f"config.model.newton={method!r} is not used, and steps are taken one after the other: "
            f"it pays where all largest Lyapunov exponents are negative, and at the start they are "
            f"{listed} nats per step"
        )
        return NewtonDecision("", exponents), [Reason(text, logging.WARNING)]
    text = (
        f"all steps at once by Newton's iteration ({method}): the largest Lyapunov exponents at "
        f"the start are {listed} nats per step"
    )
    return NewtonDecision(method, exponents), [Reason(text)]


def largest_exponents(model: Model, batch: Batch) -> Exponents:
    """The largest Lyapunov exponent of every unit on a batch, in nats per step, by its name.

    From up to `EXAMPLES` trajectories, over the steps that all have; NaN below two steps.
    """
    model = step_by_step(model)
    index_E = choose_examples(batch.lengths_B, batch.inputs_TxBxI.shape[1], EXAMPLES)
    batch = take_examples(model, batch, jnp.asarray(index_E))
    trajectories = apply(model, batch, ForwardOptions(keep_states=True)).trajectories
    settings = Laboratory(exponents=1, longest_span=0)
    exponents = {}
    for unit, seen, span in zip(model.units(), trajectories, spans(model, batch), strict=True):
        cell, params, seen = reading_context(unit.layer.cell, unit.layer.params(), seen)
        steps = shared_steps(span.steps, span.lengths_B)
        fitted, _ = fit_unit(settings, cell, params, steps, len(index_E))
        exponents[unit.name] = float("nan")
        if fitted.exponents:
            spectrum = lyapunov_spectrum(
                cell, params, seen.inputs_TxBxI[:steps], count=1, start=seen.start,
                warmup_steps=fitted.warmup_steps, interval_steps=fitted.interval_steps,
                key=jax.random.key(0), leave_out=cell.counters_of(params),
            )  # fmt: skip
            exponents[unit.name] = float(spectrum.exponents_K[0])
    return exponents


class FallBacks:
    """Counter of recorded steps at which Newton's iteration fell back to a scan, which logs the
    first and every doubling."""

    def __init__(self) -> None:
        self.count, self.next = 0, 1

    def notice(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count the fall-backs in the rows of new recorded steps."""
        for row in rows:
            units = [
                name.partition("/")[2]
                for name, value in row.items()
                if name.startswith("newton_fell_back/") and value > 0
            ]
            if not units:
                continue
            self.count += 1
            if self.count == self.next:
                self.next *= 2
                log.warning(
                    "step %d: Newton's iteration did not converge in %s, and the batch was "
                    "taken step by step, with the same result (%d recorded steps so far); "
                    "config.model.newton='none' saves the attempt",
                    row["step"], ", ".join(units), self.count,
                )  # fmt: skip
