"""Where growth began, on series and profiles that were made to grow at a known place."""

import math
from typing import Any

import numpy as np
import pytest

from rnnexp.gradflow.growth import (
    FACTOR,
    LARGEST,
    GateChange,
    changed_gate,
    final_rise,
    find_growth,
    growth_text,
)
from rnnexp.gradflow.nonfinite import UnitOrder

LAYERS = [UnitOrder("layer_0"), UnitOrder("layer_1")]
WINDOW, TIMES = 33, 20


def flat(units: int = 2, seed: int = 0) -> np.ndarray:
    """Logs of healthy profiles (N, L, T): falling with the lag, a little noise by step."""
    lag_T = np.arange(TIMES)[::-1]
    noise_Nx1x1 = 0.1 * np.random.default_rng(seed).standard_normal((WINDOW, 1, 1))
    return noise_Nx1x1 - 0.05 * lag_T * np.ones((WINDOW, units, 1))


def grown(
    logs: np.ndarray, *, since: int, unit: int, lag: int, rate: float = 0.2, backward: bool = False
) -> np.ndarray:
    """Add growth: from step `since` on, each step of the backward pass from `lag` on adds
    `rate` nats more than a training step before, in a unit and those below."""
    k_T = np.arange(TIMES) if backward else np.arange(TIMES)[::-1]
    more_T = np.maximum(k_T - lag + 1, 0) * rate
    logs = logs.copy()
    for step in range(since, WINDOW):
        logs[step, : unit + 1] += more_T * (step - since + 1)
    return logs


def found(logs: np.ndarray, units: list[UnitOrder] = LAYERS, **leaves: np.ndarray) -> Any:
    norms = {"h": np.exp(logs), **{k: np.exp(v) for k, v in leaves.items()}}
    growth = find_growth(range(800, 800 + len(logs)), norms, units)
    assert growth is not None
    return growth


@pytest.mark.parametrize("at", [2, 15, 31, 32])
def test_a_rise_from_a_flat_series_begins_with_its_first_higher_value(at: int) -> None:
    logs = np.zeros(33)
    logs[at:] = np.arange(1, 34 - at)
    assert final_rise(np.exp(logs)) == at


def test_a_slow_rise_is_followed_down_to_its_foot() -> None:
    logs = np.zeros(33)
    logs[10:] = 0.1 * np.arange(1, 24)  # doubles after seven steps
    assert final_rise(np.exp(logs)) == 10


def test_a_series_that_rises_all_along_begins_at_its_first_value() -> None:
    assert final_rise(np.exp(0.2 * np.arange(33.0))) == 0


def test_an_earlier_rise_that_fell_back_is_not_the_last_one() -> None:
    logs = np.zeros(33)
    logs[5:12] = 4.0
    logs[25:] = np.arange(1, 9)
    assert final_rise(np.exp(logs)) == 25


def test_outliers_below_do_not_move_the_beginning() -> None:
    logs = np.zeros(33)
    logs[[3, 9]] = -9.0
    logs[20:] = np.arange(1, 14)
    assert final_rise(np.exp(logs)) == 20


def test_noise_moves_the_beginning_by_few_steps() -> None:
    errors = []
    for seed in range(200):
        logs = 0.3 * np.random.default_rng(seed).standard_normal(33)
        logs[20:] += 0.7 * np.arange(1, 14)
        began = final_rise(np.exp(logs))
        assert began is not None
        errors.append(began - 20)
    assert abs(np.median(errors)) <= 1
    assert np.quantile(np.abs(errors), 0.9) <= 4


def test_a_series_that_does_not_end_high_has_no_rise() -> None:
    assert final_rise(np.array([1.0, 5.0, 5.0, FACTOR])) is None
    assert final_rise(np.ones(33)) is None
    assert final_rise(np.array([1.0, 5.0, 5.0, FACTOR * 1.001])) == 1


def test_growth_in_the_lower_layer_is_found_with_step_time_and_lag() -> None:
    growth = found(grown(flat(), since=20, unit=0, lag=7))
    assert (growth.step, growth.unit, growth.leaf) == (820, "layer_0", "h")
    assert (growth.lag, growth.time) == (7, TIMES - 1 - 7)
    assert growth.rate == pytest.approx(0.2 * (growth.step - 819))
    assert not growth.since_start


def test_growth_in_the_upper_layer_is_not_blamed_on_the_one_it_passes_into() -> None:
    logs = grown(flat(), since=20, unit=1, lag=7)
    logs[20:, 0] += 0.4  # below, the layer's own input adds some
    assert (found(logs).unit, found(logs).lag) == ("layer_1", 7)


def test_a_gradient_that_is_larger_everywhere_came_in_from_outside() -> None:
    logs = flat()
    logs[25:] += np.arange(1, 9)[:, None, None]
    growth = found(logs)
    assert (growth.step, growth.unit, growth.lag, growth.rate) == (825, "layer_1", 0, 0.0)


def test_the_scale_of_the_loss_changes_no_place() -> None:
    logs = grown(flat(), since=20, unit=0, lag=7)
    logs[20:] += np.log(3.0)  # the loss grows as well
    assert (found(logs).unit, found(logs).lag) == ("layer_0", 7)
    assert found(logs + 30.0) == found(logs)._replace(
        rate=pytest.approx(found(logs).rate), factor=pytest.approx(found(logs).factor)
    )


def test_the_leaf_that_grew_is_named() -> None:
    assert found(flat(), c=grown(flat(), since=20, unit=0, lag=3)).leaf == "c"


def test_a_unit_that_reads_backwards_counts_from_the_first_step() -> None:
    units = [UnitOrder("layer_0_forward"), UnitOrder("layer_0_backward", backward=True)]
    logs = np.concatenate([flat(1), flat(1)[:, :, ::-1]], 1)
    grew = grown(logs, since=20, unit=1, lag=6, backward=True)
    grew[:, 0] = logs[:, 0]
    growth = found(grew, units)
    assert (growth.unit, growth.time, growth.lag) == ("layer_0_backward", 6, 6)


def test_a_decoder_comes_before_its_encoder() -> None:
    units = [UnitOrder("encoder_layer_0"), UnitOrder("decoder_layer_0", part=1)]
    logs = grown(flat(), since=20, unit=1, lag=4)
    assert found(logs, units).unit == "decoder_layer_0"
    assert found(logs[:, ::-1], [units[1], units[0]]).unit == "decoder_layer_0"


def test_steps_before_the_sequence_begins_and_after_it_ends_do_not_count() -> None:
    norms = np.exp(grown(flat(), since=20, unit=0, lag=7))
    norms[:, :, :3] = norms[:, :, -2:] = 0.0
    growth = find_growth(range(800, 833), {"h": norms}, LAYERS)
    assert growth is not None
    assert (growth.unit, growth.lag) == ("layer_0", 7)


def test_a_norm_that_left_the_range_at_once_is_followed_to_where_it_departed() -> None:
    logs = flat()
    logs[32, 0, :13] += 9.0 * np.arange(1, 14)[::-1]
    norms = np.exp(np.minimum(logs, 80.0))
    norms[32, 0, :3] = [np.nan, np.nan, np.inf]
    growth = find_growth(range(33), {"h": norms}, LAYERS)
    assert growth is not None
    assert (growth.step, growth.unit, growth.time, growth.factor) == (32, "layer_0", 12, None)


def test_a_loss_that_is_not_a_number_enters_at_the_end_of_the_top_layer() -> None:
    logs = flat() * np.linspace(1, 2, TIMES)  # quotients differ over time
    norms = np.exp(logs)
    norms[32] = np.nan
    growth = find_growth(range(33), {"h": norms}, LAYERS)
    assert growth is not None
    assert (growth.unit, growth.lag, growth.rate) == ("layer_1", 0, 0.0)


def test_without_growth_there_is_none_to_place() -> None:
    assert find_growth(range(33), {"h": np.exp(flat())}, LAYERS) is None
    assert find_growth([7], {"h": np.exp(flat()[:1])}, LAYERS) is None


def test_a_window_of_one_step_is_judged_along_its_own_profile() -> None:
    logs = flat()[:1]
    logs[0, 1, :11] += 8.0 * np.arange(1, 12)[::-1]
    growth = find_growth([7], {"h": np.minimum(np.exp(logs), LARGEST)}, LAYERS)
    assert growth is not None
    assert (growth.step, growth.since_start, growth.unit, growth.time) == (7, True, "layer_1", 10)


def test_growth_that_is_as_old_as_the_window_is_said_to_be() -> None:
    growth = found(grown(flat(), since=0, unit=0, lag=7, rate=0.3))
    assert growth.since_start
    text = growth_text(growth._asdict() | {"gate": None})
    assert text.startswith("growth began at or before step 800 in layer_0, dL/dh at time ")


def test_the_clause_names_lag_and_gate() -> None:
    growth = found(grown(flat(), since=20, unit=0, lag=7))._asdict()
    gate = GateChange("forget", "open", 0.25, 0.8)._asdict()
    assert growth_text(growth | {"gate": gate}) == (
        "growth began at step 820 in layer_0, dL/dh at time 12 (lag 7); of its gates forget "
        "changed most: open in 25% of its values before, 80% after"
    )
    hardly = GateChange("forget", "open", 0.25, 0.259)._asdict()
    assert growth_text(growth | {"gate": hardly}).endswith(
        "(lag 7); none of its gates changed in 1% of its values"
    )
    came_in = growth_text(growth | {"gate": None, "rate": 0.0})
    assert came_in.endswith("(lag 7), where it came in from the loss or the units above")


def test_the_gate_that_changed_most_is_found_on_either_side() -> None:
    before = {"input": (0.1, 0.2), "forget": (0.5, 0.3), "output": (math.nan, math.nan)}
    after = {"input": (0.1, 0.6), "forget": (0.0, 0.4), "output": (0.9, 0.9)}
    assert changed_gate(before, after) == GateChange("forget", "closed", 0.5, 0.0)
    assert changed_gate(before, before) is None
    assert changed_gate({}, {}) is None
