"""The laboratory: closed forms through the whole path, and its parts against themselves alone."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.types import Array, Batch
from rnnexp.gradflow.position_losses import apply
from rnnexp.laboratory.adjoint_matrix import adjoint_matrix
from rnnexp.laboratory.dataset import model_dataset
from rnnexp.laboratory.examine import (
    examine_cell,
    examine_model,
    measure_function,
    prepare,
)
from rnnexp.laboratory.lag_gradients import take_examples
from rnnexp.laboratory.lyapunov import lyapunov_spectrum
from rnnexp.laboratory.measure import step_by_step, whole_step
from rnnexp.laboratory.recurrent_matrices import recurrent_matrices, spectral_radius
from rnnexp.laboratory.saturation import gate_saturation, hidden_saturation, time_constant
from rnnexp.laboratory.settings import Laboratory, fit_unit
from rnnexp.models.sequence import SequenceModel
from rnnexp.scan.unroll import Path, unroll
from rnnexp.tasks.scores import cross_entropy
from tests.helpers.laboratory_models import (
    SETTINGS,
    B,
    O,
    T,
    batch_of,
    linear_cell,
    model_of,
    scores,
)


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
        [seen] = apply(model, batch, watch=True).watched
        hidden = hidden_saturation(seen.states["h"], batch.lengths_B)
        return gate_saturation(cell, params, seen, batch.lengths_B), hidden

    gates, hidden = jax.jit(alone)()
    for name, shares in gates.high.items():
        np.testing.assert_allclose(one.gate_high.sel(gate=name), shares, atol=1e-6)
        np.testing.assert_allclose(one.gate_low.sel(gate=name), gates.low[name], atol=1e-6)
    np.testing.assert_allclose(one.time_constant, time_constant(gates.mean["update"]), rtol=1e-5)
    assert (float(one.dead), float(one.saturated)) == tuple(map(float, hidden))


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


def test_its_lags_and_matrices_are_of_the_gradient_that_is_trained(x64: None) -> None:
    model, batch = model_of("rnn"), batch_of((12, 4, 10))
    graphdef, params = nnx.split(model, nnx.Param)
    data = figures_of(model, batch, replace(SETTINGS, lag_examples=3), dynamics=False)

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
    one = take_examples(model, batch, jnp.array([0]))
    own = jax.jit(lambda: adjoint_matrix(model, one, crosses))()["layer_0"]
    np.testing.assert_allclose(data.adjoint_matrix.sel(unit="layer_0"), own, rtol=1e-9)


def crosses(outputs: Array, batch: Batch) -> Array:
    """The loss of every position, said in its own words."""
    return cross_entropy(outputs, batch.targets)


@pytest.mark.parametrize(("cell", "keys"), [("narx", {}), ("gru", {"zoneout": 0.3})])
def test_a_whole_step_makes_the_watched_trajectory(cell: str, keys: dict[str, Any]) -> None:
    model, batch = model_of(cell, **keys), batch_of()
    taught = jax.random.normal(jax.random.key(3), (T, B, O))

    def trajectories() -> list[Array]:
        [seen] = apply(model, batch, teacher=lambda batch: taught, watch=True).watched
        [unit] = model.units()
        whole, driven = whole_step(unit.layer.cell, model.stack.structure, seen, taught)
        found = [seen.states["h"]]
        for cell, did in ((whole, driven), (unit.layer.cell, seen)):
            run = unroll(
                cell, unit.layer.params(), did.inputs_TxBxI, state=did.start, keep_states=True
            )
            assert run.states is not None
            found.append(run.states["h"])
        return found

    seen, whole, alone = jax.jit(trajectories)()
    np.testing.assert_allclose(whole, seen, rtol=1e-5, atol=1e-6)
    assert not np.allclose(alone, seen, atol=1e-3)


def test_time_is_run_through_step_by_step() -> None:
    model = model_of("min_gru", path=Path(associative=True, remat_steps=0))
    plain = step_by_step(model)
    assert isinstance(plain, SequenceModel)
    assert plain.stack.structure.path == Path()
    assert model.stack.structure.path.associative
