"""Devices and lanes share a program, and give the numbers of a run alone."""

from typing import Any

import jax
import numpy as np
import pytest

from rnnexp.sweep.program_groups import group_runs
from rnnexp.train.compiled import LaneStates, Programs
from rnnexp.train.lanes import LaneLayout
from rnnexp.train.plan import make_lane
from tests.helpers.regularized_steps import ALL, PLAIN, build
from tests.helpers.small_programs import configured

FIRST = PLAIN | ALL | {"regularizer__flossing_every_steps": 2, "clip__adjoint_limit": 0.3}
SECOND = FIRST | {
    "regularizer__omega": 3.0,
    "regularizer__orthogonality": 1.0,
    "regularizer__flossing": 2.0,
    "clip__adjoint_limit": 0.01,
}


def same(a: Any, b: Any) -> None:
    """Equal up to float64 rounding."""
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-8, atol=1e-12), a, b)


@pytest.mark.usefixtures("x64")
def test_devices_and_lanes_share_a_program_and_give_the_numbers_of_a_run_alone() -> None:
    configs = [configured("adding/rnn", **changes) for changes in (FIRST, SECOND)]
    assert group_runs(configs) == [0, 0]
    wide = build(layout=LaneLayout(1, 2), **FIRST)
    plans = [wide.plan, make_lane(wide.plan, configs[1])]
    slots = LaneStates(wide)
    for number, plan in enumerate(plans):
        slots.put(number, plan, Programs(plan).initial())
    slots.launch([3, 3], [2, 2])
    assert wide.compilations == 1

    solo, alone = Programs(wide.plan), []
    for plan in plans:
        one = LaneStates(solo)
        one.put(0, plan, Programs(plan).initial())
        one.launch([3], [2])
        alone.append((one.states()[0].params, one.records()[0]))
    assert solo.compilations == 1
    for (params, records), lane, of_lane in zip(
        alone, slots.states(), slots.records(), strict=True
    ):
        same(params, lane.params)
        same(records.scalars, of_lane.scalars)
    assert alone[0][1].scalars["regularizer/omega"][0] > 0
    assert not np.allclose(*(params["stack"]["layers"][0]["w_h"] for params, _ in alone))

    divided = build(**(FIRST | {"devices": 2}))
    state, records = divided.advance(divided.initial(), 3, 2)
    same(jax.device_get(state.params), alone[0][0])
    same(jax.device_get(records), alone[0][1])
