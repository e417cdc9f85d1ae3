"""Which parameters are recurrent, and the square blocks that they consist of."""

from typing import Any

import jax
import numpy as np
import pytest

from rnnexp.core.types import Tree
from rnnexp.gradflow.recurrent_params import find_recurrence, recurrent_blocks
from rnnexp.gradflow.regularizers import orthogonality
from tests.helpers.regularized_cells import H, I, drawn
from tests.helpers.variants import VARIANTS, build, variant_id

pytestmark = pytest.mark.usefixtures("x64")
RECURRENT: dict[str, set[str]] = {
    "feedforward": set(),
    "tdnn": {"w_x"},  # its window holds past inputs
    "narx": {"w", "w_y"},
    "rnn": {"w_h"},
    "lstm": {"w_h"},
    "lstm-peepholes=True": {"w_h", "p"},
    "gru": {"w_h"},
    "gru-reset=before": {"w_h"},
    "min_gru": {"w_x", "b"},  # the gate that multiplies the state sees the input alone
    "indrnn": {"u"},
    "lru": {"nu_log", "theta_log"},
    "lem": {"w_h", "w_z"},
    "antisymmetric": {"w_upper"},
    "unitary": {"d", "v"},
    "clockwork": {"w_blocks"},
    "scrn": {"w_h", "w_sh"},
    "ntm": {"w_x", "w_h", "w_heads"},  # w_x reads what the heads have read, too
    "dnc": {"w_x", "w_h", "w_heads"},
    "stack_rnn": {"w_h", "w_stack", "w_action", "w_push"},
}


@pytest.mark.parametrize(
    "variant", [v for v in VARIANTS if variant_id(v) in RECURRENT], ids=variant_id
)
def test_recurrent_parameters_are_found(variant: Any) -> None:
    assert find_recurrence(build(variant, I, H)).names == RECURRENT[variant_id(variant)]


def test_blocks_are_those_of_prepared_matrices() -> None:
    cell = build(("orthogonal", {}), I, H)
    blocks: dict[str, Tree] = jax.eval_shape(lambda p: recurrent_blocks(cell, p), drawn(cell))
    assert {name: b.shape for name, b in blocks.items()} == {"w_h": (1, H, H)}
    value = jax.jit(lambda params: orthogonality(cell, params))(drawn(cell))
    np.testing.assert_allclose(value, 0, atol=1e-20)
    alone = build(("indrnn", {}), I, H)
    assert recurrent_blocks(alone, drawn(alone)) == {}
