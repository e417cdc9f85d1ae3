"""The table of cells with their options that the generic tests run over."""

import inspect
from typing import Any

import pytest

from rnnexp.cells import CELLS
from rnnexp.cells.base import Cell
from tests.helpers.contexts import bound, some_context

Variant = tuple[str, dict[str, Any]]
SMALL: dict[str, dict[str, Any]] = {
    "ntm": {"slots": 4, "width": 2, "write_heads": 2, "memory_init": "learned"},
    "dnc": {"slots": 3, "width": 2, "read_heads": 1, "write_heads": 2, "usage_gradient": True},
    "stack_rnn": {"stacks": 2, "depth": 3, "no_op": True, "recurrent": True},
}
"""Options of cells whose state is large by default, and which use all that they have."""
VARIANTS: list[Variant] = [
    *((name, SMALL.get(name, {})) for name in CELLS.builtin),
    ("feedforward", {"activation": "relu"}),
    ("rnn", {"activation": "relu", "start": "identity"}),
    ("rnn", {"activation": "linear", "recurrent_scale": 0.9}),
    ("lstm", {"peepholes": True}),
    ("lstm", {"forget_bias": 0.0}),
    ("lstm", {"chrono_steps": 20}),
    ("lstm", {"coupled": True}),
    ("lstm", {"coupled": True, "peepholes": True}),
    ("lstm", {"coupled": True, "chrono_steps": 20}),
    ("lstm", {"without": "forget_gate", "peepholes": True}),
    ("lstm", {"without": "input_activation"}),
    ("lstm_1997", {"block_size": 3, "output_bias": -1.0}),
    ("gru", {"reset": "before"}),
    ("antisymmetric", {"gated": True}),
    ("indrnn", {"longest_steps": 50}),
    ("tdnn", {"delay_steps": 2}),
    ("memory_network", {"tying": "layer_wise", "linear": True}),
    ("hopfield", {"kind": "continuous"}),
    ("hopfield", {"metric": "learned"}),
    ("rbm", {"chain": "mean_field", "through_chain": True}),
    ("graph", {"node_cell": "lstm", "task_mode": "graph_to_node", "output_size": 4, "tied": False}),
    ("graph", {"node_cell": "lru", "task_mode": "graph_to_nodes", "output_size": 8}),
    (
        "graph",
        {"node_cell": "antisymmetric", "tied": False, "aggregation": "mean", "start": "linear"},
    ),
    ("graph", {"node_cell": "rnn", "fixed_point": True, "steps": 300, "tolerance": 1e-14}),
    ("graph", {"node_cell": "clockwork", "normalisation": "symmetric", "self_loops": True}),
    ("narx", {"input_delay_steps": 0, "output_delay_steps": 1, "feedback": "softmax"}),
]


def variant_id(variant: Variant) -> str:
    """`lstm-peepholes=True`."""
    name, options = variant
    if options == SMALL.get(name):
        return name
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


def all_but_slow(*slow: str) -> list[Any]:
    """All variants as parameters of a test, those of some cells, by name, marked slow."""
    return [
        pytest.param(v, id=variant_id(v), marks=[pytest.mark.slow] if v[0] in slow else [])
        for v in VARIANTS
    ]


def small(name: str, **options: Any) -> Variant:
    """A cell of the table, with a small state unless the options say otherwise."""
    return name, {**SMALL.get(name, {}), **options}


each_cell = pytest.mark.parametrize("variant", VARIANTS, ids=variant_id)


def build(variant: Variant, input_size: int, hidden_size: int, **given: Any) -> Cell:
    """The variant's cell; what is given goes to factories that have a keyword for it.

    A cell that reads a context is bound to one.
    """
    name, options = variant
    factory = CELLS.entry(name).factory()
    known = inspect.signature(factory).parameters
    if "example_context" in known:
        given = {"example_context": some_context(name, input_size), **given}
    given = {key: value for key, value in given.items() if key in known and key not in options}
    cell: Cell = factory(input_size, hidden_size, **options, **given)
    return cell if cell.context is None else bound(cell, some_context(name, input_size))
