"""Truncated and rematerialised ways through time compute what the scan computes."""

import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.gradflow.adjoints import tap
from rnnexp.scan.unroll import TimeLoop
from tests.helpers.structured_models import LENGTHS, H, I, T, inputs, model_of, moves
from tests.helpers.time_paths import same_everywhere
from tests.helpers.variants import build


@pytest.mark.parametrize("cut", [2, 3])
def test_truncation_cuts_the_gradient_and_nothing_else(cut: int, x64: None) -> None:
    full, cut_model = model_of(), model_of(time_loop=TimeLoop(cut_steps=cut))
    np.testing.assert_array_equal(full(inputs()).outputs, cut_model(inputs()).outputs)
    t = 5
    reached = jnp.sum(moves(cut_model, lambda got: jnp.sum(got.outputs[t])), 1) > 0
    first = t // cut * cut
    np.testing.assert_array_equal(reached, (np.arange(T) >= first) & (np.arange(T) <= t))


@pytest.mark.parametrize(
    "time_loop",
    [
        TimeLoop(cut_steps=T),
        TimeLoop(cut_steps=T + 5),
        TimeLoop(remat_steps=3),
        TimeLoop(remat_steps=7),
    ],
)
@pytest.mark.parametrize("lengths", [pytest.param(None, marks=pytest.mark.slow), LENGTHS])
def test_other_ways_through_time_give_the_same(
    time_loop: TimeLoop, lengths: tuple[int, ...] | None, x64: None
) -> None:
    ends = None if lengths is None else jnp.array(lengths)
    same_everywhere(build(("lstm", {}), I, H), time_loop, ends, tap)
