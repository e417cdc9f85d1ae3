"""The laboratory's data set holds what the single analyses say, under names."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.types import Array, Batch
from rnnexp.gradflow.position_losses import apply
from rnnexp.laboratory.adjoint_matrix import adjoint_matrix
from rnnexp.laboratory.dataset import cell_dataset, model_dataset
from rnnexp.laboratory.examine import measure_function, prepare
from rnnexp.laboratory.lag_gradients import take_examples
from rnnexp.laboratory.lyapunov import Spectrum
from rnnexp.laboratory.measure import (
    LagFigures,
    ModelFigures,
    UnitFigures,
    Wanted,
    cell_figures,
)
from rnnexp.laboratory.products import ProductSpectrum
from rnnexp.laboratory.recurrent_matrices import recurrent_matrices, spectral_radius
from rnnexp.laboratory.saturation import (
    GateSaturation,
    HiddenSaturation,
    gate_saturation,
    hidden_saturation,
    time_constant,
)
from rnnexp.laboratory.settings import Laboratory, fit_unit
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.tasks.scores import cross_entropy
from tests.helpers.laboratory_models import SETTINGS, batch_of, linear_cell, model_of, scores


def figures_of(
    model: SequenceModel, batch: Batch, settings: Laboratory, *, dynamics: bool = True
) -> Any:
    """The data set of a model, with all examples; without `dynamics` it compiles sooner."""
    wanted = prepare(settings, model, batch, scores, None, "it")
    if not dynamics:
        units = tuple(fitted._replace(exponents=0, spans=()) for fitted in wanted.units)
        wanted = wanted._replace(units=units)
    graphdef, params = nnx.split(model, nnx.Param)
    measure = jax.jit(measure_function(graphdef, scores, wanted, None))
    figures = measure(nnx.to_pure_dict(params), batch, jax.random.key(0))
    return model_dataset(jax.device_get(figures), wanted, [unit.name for unit in model.units()])


def test_the_data_set_of_a_model_is_what_the_single_analyses_say() -> None:
    model, batch = model_of("gru"), batch_of((12, 4, 10))
    settings = replace(SETTINGS, lag_examples=0, adjoint_matrix=False)
    data = figures_of(model, batch, settings, dynamics=False)
    assert "lyapunov" not in data
    assert "singular" not in data
    [unit], one = model.units(), data.sel(unit="layer_0")
    cell, params = unit.layer.cell, unit.layer.params()
    for name, matrix in recurrent_matrices(cell, params).items():
        radius, norm = spectral_radius(matrix), np.linalg.svd(matrix)[1][0]
        assert float(one.spectral_radius.sel(matrix=name)) == pytest.approx(radius, rel=1e-6)
        assert float(one.spectral_norm.sel(matrix=name)) == pytest.approx(norm, rel=1e-6)

    def alone() -> Any:
        [seen] = apply(model, batch, ForwardOptions(keep_states=True)).trajectories
        hidden = hidden_saturation(seen.states["h"], batch.lengths_B)
        return gate_saturation(cell, params, seen, batch.lengths_B), hidden

    gates, hidden = jax.jit(alone)()
    for name, shares in gates.high.items():
        np.testing.assert_allclose(one.gate_high.sel(gate=name), shares, atol=1e-6)
        np.testing.assert_allclose(one.gate_low.sel(gate=name), gates.low[name], atol=1e-6)
    np.testing.assert_allclose(one.time_constant, time_constant(gates.mean["update"]), rtol=1e-5)
    assert (float(one.dead), float(one.saturated)) == tuple(map(float, hidden))


def test_its_lags_and_matrices_are_of_the_gradient_that_is_trained(x64: None) -> None:
    model, batch = model_of("rnn"), batch_of((12, 4, 10))
    graphdef, params = nnx.split(model, nnx.Param)
    settings = replace(SETTINGS, lag_examples=3, each_lag=True)
    data = figures_of(model, batch, settings, dynamics=False)

    def loss(params: Any) -> Array:
        outputs = apply(nnx.merge(graphdef, params), batch).outputs
        mean: Array = scores(outputs, batch)["loss"].mean()
        return mean

    grads = nnx.to_pure_dict(jax.jit(jax.grad(loss))(params))
    for name, grad in grads["stack"]["layers"][0].items():
        norm = float(data.parameter_norm.sel(parameter=f"layer_0/{name}"))
        assert norm == pytest.approx(float(jnp.linalg.norm(grad)), rel=1e-9)
    assert list(data.lag.values) == [0, 1, 3, 6, 12]
    assert data.lag_norm.shape == (3, 5)
    assert data.each_lag_norm.dims == ("parameter", "each_lag")
    np.testing.assert_array_equal(data.each_lag, np.arange(13))
    assert data.each_lag.attrs["units"] == "steps"
    np.testing.assert_allclose(data.each_lag_norm[:, :2], data.lag_norm[:, :2], rtol=1e-12)
    without = figures_of(model, batch, replace(settings, each_lag=False), dynamics=False)
    assert "each_lag_norm" not in without
    assert "each_lag" not in without.dims
    np.testing.assert_allclose(data.lag_norm, without.lag_norm, rtol=1e-9)
    one = take_examples(model, batch, jnp.array([0]))
    own = jax.jit(lambda: adjoint_matrix(model, one, crosses))()["layer_0"]
    np.testing.assert_allclose(data.adjoint_matrix.sel(unit="layer_0"), own, rtol=1e-9)


def crosses(outputs: Array, batch: Batch) -> Array:
    """The loss of every position, said in its own words."""
    return cross_entropy(outputs, batch.targets)


def test_sequences_of_one_step_have_no_exponents_but_all_the_rest() -> None:
    cell = linear_cell()
    arguments = {"w_h": jnp.eye(4)}, jnp.zeros((1, 1, 4)), {"h": jnp.zeros((1, 4))}
    fitted, _ = fit_unit(Laboratory(rank=1), cell, arguments[0], 1, 1)
    measure = partial(cell_figures, cell, fitted=fitted)
    shapes = jax.eval_shape(measure, *arguments, None, jax.random.key(0))
    data = cell_dataset(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes), fitted)
    assert "lyapunov" not in data
    assert data.singular.shape == (1, 1)


FITTED, _ = fit_unit(Laboratory(rank=2), linear_cell(), {"w_h": jnp.eye(4)}, 40, 1)
FITTED = FITTED._replace(exponents=5, spans=(1, 5, 8), rank=2)


def unit_figures(gates: Any, constant: Any) -> UnitFigures:
    """The figures of a unit with such gates, all else of small numbers."""
    ones: Any = np.ones
    spectrum: Any = np.arange(5.0) - 3, np.arange(5.0), ones(()), ones(5), ones(5)
    products: Any = np.arange(6.0).reshape(3, 2), ones(3), ones(3), ones((3, 2))
    low = {name: 1 - gate for name, gate in gates.items()}
    return UnitFigures(
        Spectrum(*spectrum), ProductSpectrum(*products), {}, GateSaturation(low, gates, gates),
        constant, HiddenSaturation(ones(()), ones(())),
    )  # fmt: skip


def test_figures_get_named_dimensions_and_units() -> None:
    data = cell_dataset(unit_figures({}, None), FITTED)
    assert dict(data.sizes) == {"exponent": 5, "span": 3, "rank": 2}
    assert data.kaplan_yorke.dims == data.dead.dims == ()
    np.testing.assert_array_equal(data.lyapunov, np.arange(5) - 3)
    np.testing.assert_array_equal(data.lyapunov_error, np.arange(5))
    np.testing.assert_array_equal(data.lyapunov_drift, np.ones(5))
    assert float(data.singular.sel(span=5, rank=1)) == 3.0
    rates = {data[name].attrs["units"] for name in ("lyapunov", "lyapunov_error", "lyapunov_drift")}
    assert rates == {"nats per step"}
    logarithms = ("singular", "singular_error", "singular_smallest", "condition")
    assert {data[name].attrs["units"] for name in logarithms} == {"nats"}
    assert data.span.attrs["units"] == "steps"


def test_what_a_unit_lacks_is_nan() -> None:
    forget, update = np.linspace(0, 1, 6), np.linspace(1, 0, 4)
    units = (
        unit_figures({"forget": forget, "input": forget / 2}, forget),
        unit_figures({"update": update}, update),
        unit_figures({}, None),
    )
    parts: Any = {"encoder/w": np.array([2.0, 2.0]), "decoder/w": np.array([3.0, 4.0])}
    totals: Any = {"encoder/w": np.float64(4), "decoder/w": np.float64(5)}
    lags = LagFigures(parts, totals)
    names = ["layer_0", "layer_1", "layer_2"]
    adjoints: Any = dict(
        zip(names, (np.ones((2, 7)), np.ones((2, 3)), np.ones((2, 3))), strict=True)
    )
    data = model_dataset(
        ModelFigures(units, lags, adjoints), Wanted((FITTED,) * 3, 1, (0, 8), True), names
    )
    assert data.gate_low.dims == ("unit", "gate", "time")
    assert list(data.gate.values) == ["forget", "input", "update"]
    np.testing.assert_array_equal(data.gate_high.sel(unit="layer_0", gate="forget")[:6], forget)
    shorter = data.gate_high.sel(unit="layer_1", gate="update")
    np.testing.assert_array_equal(np.isnan(shorter), np.arange(7) >= 4)
    assert np.isnan(data.gate_high.sel(unit="layer_0", gate="update")).all()
    np.testing.assert_array_equal(data.time_constant.sel(unit="layer_1")[:4], update)
    assert np.isnan(data.time_constant.sel(unit="layer_2")).all()
    assert data.dead.dims == ("unit",)
    assert data.adjoint_matrix.dims == ("unit", "output_time", "time")
    unreached = np.isnan(data.adjoint_matrix.sel(unit="layer_1"))
    np.testing.assert_array_equal(unreached, np.tile(np.arange(7) >= 3, (2, 1)))
    assert data.lag_norm.dims == ("parameter", "lag")
    np.testing.assert_array_equal(data.lag, [0, 8])
    np.testing.assert_array_equal(data.lag_norm.sel(parameter="decoder/w"), [3, 4])
    np.testing.assert_array_equal(data.parameter_norm, [4, 5])
