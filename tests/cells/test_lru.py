"""The eigenvalues of the LRU start uniformly on the ring."""

import jax
import numpy as np
import pytest
import scipy.stats  # type: ignore[import-untyped]

from rnnexp.cells.lru import eigenvalues
from tests.helpers.structured_cells import build


@pytest.mark.parametrize(("r_min", "r_max", "max_phase"), [(0.0, 1.0, 6.28), (0.9, 0.999, 0.314)])
def test_lru_eigenvalues_start_uniformly_on_the_ring(
    r_min: float, r_max: float, max_phase: float, x64: None
) -> None:
    options = {"r_min": r_min, "r_max": r_max, "max_phase": max_phase}
    params = build("lru", inputs=1, hidden=2000, **options).init(jax.random.key(5))
    values = np.asarray(eigenvalues(params))
    modulus, phase = np.abs(values), np.angle(values) % (2 * np.pi)
    assert r_min <= modulus.min() < modulus.max() <= r_max
    area = (modulus**2 - r_min**2) / (r_max**2 - r_min**2)
    assert scipy.stats.kstest(area, "uniform").pvalue > 0.01
    assert scipy.stats.kstest(phase / max_phase, "uniform").pvalue > 0.01
    # white noise of variance 1 in, stationary variance gamma^2 / (1 - |lambda|^2) of h out
    np.testing.assert_allclose(np.exp(2 * params["gamma_log"]) / (1 - modulus**2), 1, rtol=1e-9)
