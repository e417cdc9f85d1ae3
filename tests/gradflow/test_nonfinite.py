"""The origin of a divergence: the first non-finite norm going back, or state going forward."""

import numpy as np

from rnnexp.gradflow.nonfinite import Origin, UnitOrder, find_forward_origin, find_origin


def test_the_origin_is_the_latest_step_and_there_the_topmost_layer() -> None:
    norms, units = np.ones((3, 10)), [UnitOrder(name) for name in "abc"]
    assert find_origin({"h": norms}, units) is None
    norms[0, :7] = np.nan
    norms[1, :6] = np.inf
    assert find_origin({"h": norms}, units) == Origin("h", "a", 6, 3)
    norms[2, 6] = np.inf
    assert find_origin({"h": norms}, units) == Origin("h", "c", 6, 3)
    later = np.ones((3, 10))
    later[1, 8] = np.nan
    assert find_origin({"h": norms, "c": later}, units) == Origin("c", "b", 8, 1)


def test_the_origin_of_units_that_read_backwards_and_of_decoders() -> None:
    norms = np.ones((3, 10))
    norms[0, 8], norms[1, 3:] = np.nan, np.inf
    units = [UnitOrder("e"), UnitOrder("e_backward", backward=True), UnitOrder("d", part=1)]
    assert find_origin({"h": norms}, units) == Origin("h", "e", 8, 1)
    norms[1, 0] = np.inf
    assert find_origin({"h": norms}, units) == Origin("h", "e_backward", 0, 0)
    norms[2, 2] = np.inf
    assert find_origin({"h": norms}, units) == Origin("h", "d", 2, 7)


def test_the_first_state_is_at_the_earliest_step_and_there_in_the_lowest_unit() -> None:
    units = [UnitOrder(name) for name in "ab"] + [UnitOrder("d", part=1)]
    masks = [{leaf: np.zeros(10, bool) for leaf in ("c", "h")} for _ in units]
    assert find_forward_origin(masks, units) is None
    masks[2]["h"][0] = True  # a decoder comes after its encoder
    assert find_forward_origin(masks, units) == Origin("h", "d", 0, 9)
    masks[1]["h"][4] = True
    masks[0]["h"][5:] = True
    assert find_forward_origin(masks, units) == Origin("h", "b", 4, 5)
    masks[0]["h"][4] = True
    assert find_forward_origin(masks, units) == Origin("h", "a", 4, 5)
    masks[0]["c"][4] = True
    assert find_forward_origin(masks, units) == Origin("c", "a", 4, 5)


def test_with_two_directions_the_first_state_is_in_the_lowest_unit() -> None:
    units = [UnitOrder(f"{n}{end}", backward=end == "b") for n in range(2) for end in "fb"]
    masks = [{"h": np.zeros(10, bool)} for _ in units]
    masks[2]["h"][0] = True
    assert find_forward_origin(masks, units) == Origin("h", "1f", 0, 9)
    masks[1]["h"][:8] = True  # it begins with the last step
    assert find_forward_origin(masks, units) == Origin("h", "0b", 7, 7)
    masks[0]["h"][9] = True
    assert find_forward_origin(masks, units) == Origin("h", "0f", 9, 0)
