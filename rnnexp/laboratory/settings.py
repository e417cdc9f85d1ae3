"""Settings of the laboratory, and their reduction to the size of sequences and cells."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.types import Array, Params
from rnnexp.gradflow.tangent_scan import free_directions
from rnnexp.laboratory.products import METHODS

AT_LEAST_ONE = ("interval_steps", "iterations")
NOT_NEGATIVE = (
    "examples", "exponents", "warmup_steps", "product_examples", "rank", "longest_span",
    "lag_examples",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """What is measured, and with how many examples, exponents and iterations.

    Attributes:
      examples: trajectories for the Lyapunov spectrum and the gates; 0: all.
      exponents: how many Lyapunov exponents; 0: all that the state has.
      warmup_steps, interval_steps: see `lyapunov_spectrum`.
      longest_span: singular values of dh_{t+k}/dh_t for k = 1, 2, 4, ... up to it; 0: none.
      rank: how many singular values; 0: all.
      product_examples: trajectories for them; 0: as many as `examples`.
      products: their method, see `jacobian_products`.
      iterations: of its Krylov method, at least the rank and at most the size of the state.
      lag_examples: examples for the parts of dL/dW by lag; 0: no such parts.
      each_lag: also measure the part from every single lag; memory grows with T times the
        parameters.
      adjoint_matrix: also measure dL_s/dh_t of one example; memory grows with T^2.
      memory_gib: limit for measuring.
    """

    examples: int = 2
    exponents: int = 8
    warmup_steps: int = 50
    interval_steps: int = 4
    longest_span: int = 64
    rank: int = 4
    product_examples: int = 1
    products: str = "krylov"
    iterations: int = 12
    lag_examples: int = 2
    each_lag: bool = False
    adjoint_matrix: bool = False
    memory_gib: float = 2.0

    def __post_init__(self) -> None:
        require_choice("laboratory.products", self.products, METHODS)
        for names, least in ((AT_LEAST_ONE, 1), (NOT_NEGATIVE, 0)):
            for name in names:
                if getattr(self, name) < least:
                    raise UsageError(
                        f"laboratory.{name} must be at least {least}, not {getattr(self, name)}"
                    )
        if not self.memory_gib > 0:
            raise UsageError(f"laboratory.memory_gib must be positive, not {self.memory_gib}")

    @property
    def spans(self) -> tuple[int, ...]:
        """The powers of two up to `longest_span`."""
        return tuple(2**k for k in range(self.longest_span.bit_length()))


class Fitted(NamedTuple):
    """The settings of one unit, reduced to its sequences and its state.

    Attributes:
      steps: those that all examples have.
      exponents: 0 with too few steps.
      spans: empty without steps.
      begin: the number of steps before the Jacobian products.
    """

    steps: int
    exponents: int
    warmup_steps: int
    interval_steps: int
    spans: tuple[int, ...]
    rank: int
    product_examples: int
    begin: int
    products: str
    iterations: int | None


def choose_examples(lengths_B: Array | None, available: int, count: int) -> np.ndarray:
    """The indices, ascending, of the `count` longest examples (0: all); of equal ones the first."""
    count = min(count or available, available)
    if lengths_B is None:
        return np.arange(count)
    longest_first = np.argsort(-np.asarray(lengths_B), kind="stable")
    return np.sort(longest_first[:count])


def shared_steps(steps: int, lengths_B: Array | None) -> int:
    """The steps that all examples have; the lengths must not be traced."""
    return steps if lengths_B is None else int(np.min(np.asarray(lengths_B)))


def fit_unit(
    settings: Laboratory, cell: Cell, params: Params, steps: int, examples: int
) -> tuple[Fitted, list[str]]:
    """The settings of one unit, and a note for each reduction; `steps` all examples have."""
    notes: list[str] = []
    state = jax.eval_shape(cell.init_state, params)
    free = int(free_directions(cell, params, cell.counters_of(params)).sum())
    size = int(state[cell.hidden].size)
    exponents = _at_most("exponents", settings.exponents, free, "the state's coordinates", notes)
    rank = _at_most("rank", settings.rank, size, "the hidden units", notes)
    wanted = settings.product_examples or examples
    product_examples = _at_most("product_examples", wanted, examples, "the examples", notes)
    warmup, interval = _stretch(settings, steps, notes)
    if steps < 2:
        exponents = 0
        notes.append(f"no Lyapunov exponents: they take two steps, and all examples have {steps}")
    spans = tuple(span for span in settings.spans if span <= steps)
    if len(spans) < len(settings.spans):
        notes.append(
            f"longest_span {settings.spans[-1]} reduced to {spans[-1] if spans else 'none'}: all "
            f"examples have {steps} steps"
        )
    iterations = None
    if settings.products != "exact":
        iterations = min(size, max(rank, settings.iterations))
        if settings.iterations < rank:
            notes.append(f"iterations {settings.iterations} raised to {rank}, the rank")
    begin = min(warmup, steps - spans[-1]) if spans else 0
    fitted = Fitted(
        steps, exponents, warmup, interval, spans, rank, product_examples, begin,
        settings.products, iterations,
    )  # fmt: skip
    return fitted, notes


def _at_most(name: str, wanted: int, most: int, of: str, notes: list[str]) -> int:
    """The number wanted (0: all), at most `most`."""
    if wanted > most:
        notes.append(f"{name} {wanted} reduced to {most}, {of}")
    return min(wanted or most, most)


def _stretch(settings: Laboratory, steps: int, notes: list[str]) -> tuple[int, int]:
    """Warm-up and interval that leave at least two intervals of the steps, if possible."""
    warmup, interval = settings.warmup_steps, settings.interval_steps
    most = max(0, min(steps // 2, steps - 2))  # the other half is for the mean
    if warmup > most:
        notes.append(f"warmup_steps {warmup} reduced to {most}: all examples have {steps} steps")
        warmup = most
    longest = max(1, (steps - warmup) // 2)
    if interval > longest:
        notes.append(
            f"interval_steps {interval} reduced to {longest}: {steps - warmup} steps are left "
            "after the warm-up"
        )
        interval = longest
    return warmup, interval
