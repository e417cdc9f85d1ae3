"""The origin of a divergence: the first non-finite norm in the order of the backward pass."""

import numpy as np

from rnnexp.gradflow.nonfinite import Origin, UnitOrder, find_origin


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
