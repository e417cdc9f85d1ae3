"""A user's optimiser, schedule and loss on lanes, on devices, and in a program of their own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnnexp
from rnnexp.sweep.program_groups import group_runs
from rnnexp.train.compiled import LaneStates, Programs
from rnnexp.train.lanes import LaneLayout
from rnnexp.train.plan import make_lane
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.regularized_steps import build
from tests.helpers.small_programs import configured

SMALL: dict[str, Any] = {
    "cell__hidden_size": 4, "train__batch_size": 4, "task__length_steps": 6,
    "optimizer__name": "mine", "optimizer__schedule": "root", "loss__name": "quantile",
}  # fmt: skip


@pytest.fixture
def registered(own_tables: None) -> None:  # noqa: F811
    """An optimiser with a state and a count, a schedule and a loss."""

    @rnnexp.optimizer("mine")
    def mine(learning_rate: Any, *, b1: float = 0.9, momentum: float = 0.9) -> Any:
        """Lion, then heavy ball."""
        return optax.chain(optax.lion(learning_rate, b1=b1), optax.trace(decay=momentum))

    @rnnexp.schedule("root")
    def root(steps: int, *, power: float = 0.5) -> Any:
        """A root."""
        return lambda count: (1.0 + count) ** -power

    @rnnexp.loss("quantile", targets="values")
    def quantile(*, tau: float = 0.3) -> Any:
        """Pinball."""

        def loss(outputs: Any, targets: Any, counted: Any) -> Any:
            error = targets - outputs
            return jnp.mean(jnp.maximum(tau * error, (tau - 1) * error), -1)

        return loss


def same(a: Any, b: Any) -> None:
    """Equal up to float64 rounding."""
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-8, atol=1e-12), a, b)


@pytest.mark.usefixtures("registered", "x64")
def test_lanes_and_devices_give_the_numbers_of_a_run_alone() -> None:
    """The rate and the momentum are values of a shared program, other options are not."""
    second = SMALL | {"optimizer__learning_rate": 0.02, "optimizer__momentum": 0.5}
    configs = [configured("adding/rnn", **changes) for changes in (SMALL, second)]
    other = configured("adding/rnn", **SMALL, optimizer__b1=0.5)
    assert group_runs([*configs, other]) == [0, 0, 1]
    wide = build(layout=LaneLayout(1, 2), **SMALL)
    plans = [wide.plan, make_lane(wide.plan, configs[1])]
    slots = LaneStates(wide)
    for number, plan in enumerate(plans):
        slots.put(number, plan, Programs(plan).initial())
    slots.launch([3, 3], [2, 2])
    assert wide.compilations <= 1  # 0: another test has compiled it
    solo = Programs(wide.plan)
    for plan, lane, records in zip(plans, slots.states(), slots.records(), strict=True):
        one = LaneStates(solo)
        one.put(0, plan, Programs(plan).initial())
        one.launch([3], [2])
        same(one.states()[0].params, lane.params)
        same(one.states()[0].opt_state, lane.opt_state)
        same(one.records()[0].scalars, records.scalars)
    rates = slots.records()[1].scalars["learning_rate"]
    np.testing.assert_allclose(rates[[0, 2]], [0.02, 0.02 / np.sqrt(3)], rtol=1e-12)
    divided = build(**(SMALL | {"devices": 2}))
    state, _ = divided.advance(divided.initial(), 3, 2)
    same(jax.device_get(state.params), slots.states()[0].params)
