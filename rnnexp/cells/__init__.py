"""The table of cells. A new cell is one file here and one row below."""

from collections.abc import Callable
from typing import Any

from rnnexp.core.registry import MODES, Entry, Table


def _entry(name: str, summary: str, modes: tuple[str, ...] = MODES) -> Entry:
    """The row of a cell whose file and factory both bear its name."""
    return Entry(f"rnnexp.cells.{name}:{name}", summary, modes)


CELLS = Table(
    "cell",
    {
        "feedforward": _entry(
            "feedforward", "sees only the current input: the baseline without memory"
        ),
        "tdnn": _entry("tdnn", "time-delay network: a delay line in every layer, no recurrence"),
        "narx": _entry(
            "narx",
            "delay lines of past inputs and of the network's own past outputs",
            ("sequence_to_one", "synchronous"),
        ),
        "rnn": _entry(
            "rnn", "Elman network: tanh, relu or linear; orthogonal or identity (IRNN) start"
        ),
        "lstm": _entry(
            "lstm",
            "long short-term memory: peepholes, coupled gates, forget bias, chrono initialisation",
        ),
        "gru": _entry(
            "gru", "gated recurrent unit: reset gate before or after the recurrent product"
        ),
        "minimal_gated": _entry("minimal_gated", "minimal gated unit (MGU): one forget gate"),
        "min_gru": _entry(
            "min_gru", "minGRU: gates see the input alone, so the recurrence is linear in the state"
        ),
        "min_lstm": _entry(
            "min_lstm", "minLSTM: normalised forget and input gates that see the input alone"
        ),
        "indrnn": _entry("indrnn", "independently recurrent network: every unit reads only itself"),
        "lru": _entry(
            "lru", "linear recurrent unit: complex diagonal, eigenvalues near the unit circle"
        ),
        "cornn": _entry("cornn", "coupled oscillators: a damped, driven second-order system"),
        "lem": _entry("lem", "long expressive memory: two states with learned time steps"),
        "antisymmetric": _entry(
            "antisymmetric",
            "antisymmetric recurrent matrix, Euler steps: eigenvalues near the imaginary axis",
        ),
        "orthogonal": _entry(
            "orthogonal", "recurrent matrix kept orthogonal by the exponential map, modReLU"
        ),
        "unitary": _entry(
            "unitary", "uRNN: complex diagonals, reflections and Fourier transforms, modReLU"
        ),
        "clockwork": _entry("clockwork", "modules of units that tick at periods 1, 2, 4, ..."),
        "scrn": _entry(
            "scrn", "structurally constrained: slow context units beside a fast Elman layer"
        ),
    },
)
cell: Callable[..., Any] = CELLS.register
"""Decorator: `@rnnexp.cell("name")` adds a cell factory `(input_size, hidden_size, *, ...)`."""
