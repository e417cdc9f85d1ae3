"""Packed arrays of a page are within their precision."""

import numpy as np
import pytest

from rnnexp.report.page.pack import pack, rounded
from tests.helpers.packed_arrays import unpack


def test_packed_norms_are_within_their_precision_over_all_of_float32() -> None:
    norms = np.concatenate([[0.0, np.nan, np.inf], np.logspace(-44.8, 38.4, 5000)])
    read = unpack(pack(norms.reshape(1, -1), "log"))[0]
    np.testing.assert_allclose(read[3:], norms[3:], rtol=1.5e-3)
    assert read[0] == 0.0
    assert np.isnan(read[1])
    assert np.isposinf(read[2])


def test_packed_linear_values_are_within_a_share_of_their_range() -> None:
    values = np.random.default_rng(0).normal(size=(7, 300))
    values[3, 4] = np.nan
    read = unpack(pack(values, "linear"))
    np.testing.assert_allclose(read, values, atol=np.nanmax(values) - np.nanmin(values), rtol=0)
    worst = np.nanmax(np.abs(read - values))
    assert worst <= (np.nanmax(values) - np.nanmin(values)) / 65_000
    assert np.array_equal(np.isnan(read), np.isnan(values))


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("values", [[2.5, 2.5], [np.nan, np.nan], []])
def test_packing_survives_arrays_without_a_range(scale: str, values: list[float]) -> None:
    np.testing.assert_array_equal(unpack(pack(np.array(values), scale)), values)


def test_numbers_are_rounded_to_four_digits_and_never_to_what_json_lacks() -> None:
    assert rounded(1.23456e-30) == 1.235e-30
    assert rounded(float("inf")) is None
