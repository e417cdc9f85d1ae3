"""The table of cells with their options that the generic tests run over."""

from typing import Any

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in CELLS.builtin),
    ("feedforward", {"activation": "relu"}),
    ("rnn", {"activation": "relu", "start": "identity"}),
    ("rnn", {"activation": "linear", "recurrent_scale": 0.9}),
    ("lstm", {"peepholes": True}),
    ("lstm", {"forget_bias": 0.0}),
    ("lstm", {"chrono_steps": 20}),
    ("gru", {"reset": "before"}),
]


def variant_id(variant: tuple[str, dict[str, Any]]) -> str:
    """`lstm-peepholes=True`."""
    name, options = variant
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


def build(variant: tuple[str, dict[str, Any]], input_size: int, hidden_size: int) -> Cell:
    """The variant's cell."""
    name, options = variant
    cell: Cell = CELLS.entry(name).factory()(input_size, hidden_size, **options)
    return cell
