"""A product of Jacobians that is never formed: few iterations find its largest values."""

from typing import Any

import jax
import numpy as np

from tests.helpers.products_by_hand import products


def test_few_krylov_iterations_find_the_largest_values(x64: None) -> None:
    exact = products("lstm", "exact", "state")
    few: dict[str, Any] = {"count": 2, "iterations": 5}
    found = products("lstm", "krylov", "state", **few)
    off = np.abs(found.singular - exact.singular[:, :2])
    assert np.all(off <= found.error + 1e-12)
    assert np.all(np.asarray(found.error) < 0.2)
    assert np.isnan(found.smallest).all()
    assert np.isnan(found.condition).all()
    np.testing.assert_array_equal(exact.error, 0)
    again = products("lstm", "krylov", "state", key=jax.random.key(9), **few)
    assert not np.array_equal(again.singular, found.singular)
    np.testing.assert_allclose(again.singular, exact.singular[:, :2], atol=0.2)
