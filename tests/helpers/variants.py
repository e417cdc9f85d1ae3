"""The table of cells with their options that the generic tests run over."""

import inspect
from typing import Any

import pytest

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from tests.helpers.contexts import bound, some_context

Variant = tuple[str, dict[str, Any]]
VARIANTS: list[Variant] = [
    *((name, {}) for name in CELLS.builtin),
    ("feedforward", {"activation": "relu"}),
    ("rnn", {"activation": "relu", "start": "identity"}),
    ("rnn", {"activation": "linear", "recurrent_scale": 0.9}),
    ("lstm", {"peepholes": True}),
    ("lstm", {"forget_bias": 0.0}),
    ("lstm", {"chrono_steps": 20}),
    ("lstm", {"coupled": True}),
    ("lstm", {"coupled": True, "peepholes": True}),
    ("lstm", {"coupled": True, "chrono_steps": 20}),
    ("gru", {"reset": "before"}),
    ("antisymmetric", {"gated": True}),
    ("indrnn", {"longest_steps": 50}),
    ("tdnn", {"delay_steps": 2}),
    ("memory_network", {"tying": "layer_wise", "linear": True}),
    ("hopfield", {"kind": "continuous"}),
    ("hopfield", {"metric": "learned"}),
    ("narx", {"input_delay_steps": 0, "output_delay_steps": 1, "feedback": "softmax"}),
]


def variant_id(variant: Variant) -> str:
    """`lstm-peepholes=True`."""
    name, options = variant
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


each_cell = pytest.mark.parametrize("variant", VARIANTS, ids=variant_id)


def build(variant: Variant, input_size: int, hidden_size: int, **given: Any) -> Cell:
    """The variant's cell; what is given goes to factories that have a keyword for it.

    A cell that reads a context is bound to one.
    """
    name, options = variant
    factory = CELLS.entry(name).factory()
    known = inspect.signature(factory).parameters
    given = {key: value for key, value in given.items() if key in known}
    cell: Cell = factory(input_size, hidden_size, **options, **given)
    return cell if cell.context is None else bound(cell, some_context(name, input_size))
