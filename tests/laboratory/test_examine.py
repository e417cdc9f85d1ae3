"""An examination's data set: closed forms through the whole path, and a model as its cell."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.laboratory.examine import examine_cell, examine_model
from rnnexp.laboratory.lyapunov import lyapunov_spectrum
from rnnexp.laboratory.settings import Laboratory, fit_unit
from tests.helpers.laboratory_models import SETTINGS, batch_of, linear_cell, model_of, scores


def test_a_linear_cell_through_the_whole_path(x64: None) -> None:
    cell, x_TxBxI = linear_cell(), jax.random.normal(jax.random.key(1), (40, 2, 4))
    w_h = jnp.linalg.qr(jax.random.normal(jax.random.key(2), (4, 4)))[0]
    settings = Laboratory(exponents=0, rank=0, iterations=4, longest_span=16, warmup_steps=10)
    for scale, rates_TxB in ((1.0, 0.0 * x_TxBxI[..., 0]), (0.9, 0.3 * x_TxBxI[..., 0])):
        driven = x_TxBxI.at[..., 0].set(rates_TxB)
        data = examine_cell(cell, {"w_h": scale * w_h}, driven, settings=settings)
        # 10 steps of warm-up, and 2 more that fill no interval of 4
        growth = np.log(scale) + float(rates_TxB[12:].mean())
        np.testing.assert_allclose(data.lyapunov, np.full(4, growth), atol=1e-12)
        for span in (1, 2, 4, 8, 16):  # of the first example, from the end of the warm-up on
            size = span * np.log(scale) + float(rates_TxB[10 : 10 + span, 0].sum())
            np.testing.assert_allclose(data.singular.sel(span=span), np.full(4, size), atol=1e-11)
            assert float(data.singular_smallest.sel(span=span)) == pytest.approx(size, abs=1e-11)
        np.testing.assert_allclose(data.spectral_radius, scale, rtol=1e-12)
        np.testing.assert_allclose(data.spectral_norm, scale, rtol=1e-12)
        assert float(data.kaplan_yorke) == (4 if scale == 1 else 0)
    assert dict(data.sizes) == {"exponent": 4, "span": 5, "rank": 4, "matrix": 1}
    assert data.lyapunov.attrs["units"] == "nats per step"
    assert data.span.attrs["units"] == "steps"


def test_a_model_is_measured_as_its_cell_is() -> None:
    """One call, the longest examples, every unit with its own steps."""
    model, whole = model_of("rnn"), batch_of((12, 4, 10))
    settings = replace(SETTINGS, lag_examples=0, adjoint_matrix=False, longest_span=0)
    data = examine_model(model, whole, scores, settings=settings).sel(unit="layer_0")
    [unit] = model.units()
    fitted, _ = fit_unit(settings, unit.layer.cell, unit.layer.params(), 10, 2)
    assert (fitted.steps, fitted.exponents) == (10, 3)
    index = jnp.array([0, 2])
    spectrum = lyapunov_spectrum(
        unit.layer.cell, unit.layer.params(), whole.inputs_TxBxI[:10, index], count=3,
        warmup_steps=3, interval_steps=2,
        key=jax.random.split(jax.random.fold_in(jax.random.key(0), 0))[0],
    )  # fmt: skip
    np.testing.assert_allclose(data.lyapunov, spectrum.exponents_K, rtol=1e-4)
    np.testing.assert_allclose(data.lyapunov_error, spectrum.error_K, rtol=1e-3, atol=1e-6)


def test_inputs_of_another_width() -> None:
    with pytest.raises(
        UsageError, match=r"inputs must have the shape \(T, B, 4\), not \(3, 1, 5\)"
    ):
        examine_cell(linear_cell(), {"w_h": jnp.eye(4)}, jnp.zeros((3, 1, 5)))
