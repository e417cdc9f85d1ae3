"""Newton's iteration with every cell: values, gradients and adjoints are those of the scan."""

from typing import Any

import jax.numpy as jnp
import pytest

from tests.helpers.newton_runs import DIAGONAL, FULL, SCAN, all_ways, arguments, assert_same
from tests.helpers.variants import VARIANTS, build, variant_id

T, B, I, H = 5, 2, 3, 4  # noqa: E741
QUICK = ("clockwork", "unitary", "narx")  # a counter, a state that is a matrix, several lines


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(v, id=variant_id(v), marks=() if variant_id(v) in QUICK else pytest.mark.slow)
        for v in VARIANTS
    ],
)
def test_every_cell_gives_what_the_scan_gives(variant: Any, x64: None) -> None:
    """Of sequences of unequal lengths, from a first state of their own."""
    cell = build(variant, I, H)
    lengths = jnp.array([T, 3], jnp.int32)
    scan, full, diagonal = all_ways(cell, SCAN, FULL, DIAGONAL, lengths_B=lengths)(
        *arguments(cell, T, B)
    )
    for got in (full, diagonal):
        assert bool(got[0][1].newton_stats.converged)
        assert_same(got, scan, 1e-9)
