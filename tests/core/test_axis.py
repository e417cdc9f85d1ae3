"""What steps are called along an axis."""

import numpy as np
import pytest
import xarray

from rnnexp.core.axis import (
    axis_label,
    laboratory_axis,
    laboratory_step,
    lag_label,
    step_of,
    step_of_all,
    steps_of,
)


@pytest.mark.parametrize(
    ("axis", "one", "several", "label"),
    [
        ("time", "step", "steps", "time step t"),
        ("hop", "hop", "hops", "hop"),
        ("update", "update", "updates", "update"),
        ("propagation", "propagation step", "propagation steps", "propagation step"),
        ("gibbs", "gibbs step", "gibbs steps", "gibbs step"),
    ],
)
def test_words(axis: str, one: str, several: str, label: str) -> None:
    assert (step_of(axis), steps_of(axis), axis_label(axis)) == (one, several, label)


def test_several_runs_share_words_if_their_axes_are_one() -> None:
    assert step_of_all(["hop", "hop"]) == "hop"
    assert step_of_all(["hop", "time"]) == "step"
    assert step_of_all([]) == "step"
    assert lag_label(["time"]) == "lag: steps before the last one"
    assert lag_label(["hop"]) == "lag in hops: hops before the last one"
    assert lag_label(["hop", "time"]) == "lag: steps before the last one"


def test_the_axis_of_a_laboratory() -> None:
    assert laboratory_axis(["step", "unit", "gate", "hop"]) == "hop"
    assert laboratory_axis(["step", "unit", "exponent"]) == "time"
    exponents = ("exponent", np.zeros(2), {"units": "nats per hop"})
    assert laboratory_step(xarray.Dataset({"lyapunov": exponents})) == "hop"
    spans = xarray.Dataset(coords={"span": ("span", [1, 2], {"units": "updates"})})
    assert laboratory_step(spans) == "update"
    assert laboratory_step(xarray.Dataset()) == "step"
