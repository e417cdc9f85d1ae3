"""The laboratory: closed forms through the whole path, and its parts against themselves alone."""

import logging
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import rnnexp
from rnnexp.cells.base import Cell
from rnnexp.defaults import laboratory_defaults
from rnnexp.errors import UsageError
from rnnexp.gradflow.adjoint_matrix import adjoint_matrix
from rnnexp.gradflow.laboratory import (
    examine_cell,
    examine_model,
    halving_edges,
    measure_function,
    prepare,
)
from rnnexp.gradflow.laboratory_data import cell_dataset, model_dataset
from rnnexp.gradflow.laboratory_figures import cell_figures, step_by_step, whole_step
from rnnexp.gradflow.laboratory_memory import Need, require_memory
from rnnexp.gradflow.laboratory_settings import Laboratory, choose_examples, fit_unit
from rnnexp.gradflow.lag_gradients import take_examples
from rnnexp.gradflow.matrices import recurrent_matrices, spectral_radius
from rnnexp.gradflow.rows import apply
from rnnexp.gradflow.saturation import gate_saturation, hidden_saturation, time_constant
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.tasks.scores import cross_entropy, over_steps
from rnnexp.types import Array, Batch, Params, State
from rnnexp.unroll import Path, unroll
from tests.variants import build

SETTINGS = Laboratory(
    examples=2, exponents=3, warmup_steps=3, interval_steps=2, longest_span=4, rank=2,
    product_examples=1, iterations=3, lag_examples=2, adjoint_matrix=True,
)  # fmt: skip
T, B, I, H, O = 12, 3, 2, 3, 3  # noqa: E741


def linear_cell() -> Cell:
    """h_t = W h_{t-1} + x_t, written for a row."""

    def transition(params: Params, state: State, x_I: Array) -> State:
        return {"h": state["h"] @ params["w_h"] + x_I}

    def start(params: Params) -> State:
        return {"h": jnp.zeros_like(params["w_h"][0])}

    return Cell(
        name="linear", input_size=4, output_size=4, init=lambda key: {"w_h": jnp.eye(4)},
        init_state=start, transition=transition, parameter_count=16,
    )  # fmt: skip


def test_a_linear_cell_through_the_whole_path(x64: None) -> None:
    cell, x_TxBxI = linear_cell(), jax.random.normal(jax.random.key(1), (40, 2, 4))
    w_h = jnp.linalg.qr(jax.random.normal(jax.random.key(2), (4, 4)))[0]
    settings = Laboratory(exponents=0, rank=0, iterations=4, longest_span=16)
    for scale in (1.0, 0.9):
        data = examine_cell(cell, {"w_h": scale * w_h}, x_TxBxI, settings=settings)
        growth = np.full(4, np.log(scale))
        np.testing.assert_allclose(data.lyapunov, growth, atol=1e-12)
        np.testing.assert_allclose(data.singular, np.outer([1, 2, 4, 8, 16], growth), atol=1e-11)
        np.testing.assert_allclose(data.spectral_radius, scale, rtol=1e-12)
        np.testing.assert_allclose(data.spectral_norm, scale, rtol=1e-12)
        assert float(data.kaplan_yorke) == (4 if scale == 1 else 0)
    assert dict(data.sizes) == {"exponent": 4, "span": 5, "rank": 4, "matrix": 1}
    assert list(data.span.values) == [1, 2, 4, 8, 16]
    assert data.lyapunov.attrs["units"] == "nats per step"
    assert data.span.attrs["units"] == "steps"


def model_of(cell: str, mode: str = "synchronous", **keys: Any) -> SequenceModel:
    """A small model."""
    return SequenceModel(
        lambda size, layer: build((cell, {}), size, H, layer=layer, output_size=O),
        structure=Structure(**keys), input_size=I, output_size=O, mode=mode,
        key=jax.random.key(0),
    )  # fmt: skip


def batch_of(lengths: tuple[int, ...] | None = None) -> Batch:
    """Inputs and a class at every step."""
    x_TxBxI = jax.random.normal(jax.random.key(1), (T, B, I))
    targets = jax.random.randint(jax.random.key(2), (T, B), 0, O)
    return Batch(x_TxBxI, targets, None if lengths is None else jnp.array(lengths, jnp.int32))


def scores(outputs: Array, batch: Batch) -> dict[str, Any]:
    """Cross-entropy over valid steps."""
    return {"loss": over_steps(cross_entropy(outputs, batch.targets), batch.lengths_B)}


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


def test_the_data_set_of_a_model_is_what_the_single_analyses_say(x64: None) -> None:
    model, whole = model_of("gru"), batch_of((12, 4, 10))
    off: dict[str, Any] = {"lag_examples": 0, "adjoint_matrix": False}
    data = examine_model(model, whole, scores, settings=replace(SETTINGS, **off))
    batch = take_examples(model, whole, jnp.array([0, 2]))  # the longest ones; 10 steps in both
    assert batch.lengths_B is not None
    [unit], [seen] = model.units(), apply(model, batch, watch=True).watched
    cell, params, one = unit.layer.cell, unit.layer.params(), data.sel(unit="layer_0")
    before = jnp.concatenate([seen.start["h"][None], seen.states["h"]])

    def jacobian(h_H: Array, x_I: Array) -> Array:
        found: Array = jax.jacfwd(lambda h: cell.transition(params, {"h": h}, x_I)["h"])(h_H)
        return found

    inside = jax.jit(jax.vmap(jax.vmap(jacobian)))(before[:10], seen.inputs_TxBxI[:10])
    step_TxBxHxH = np.asarray(inside)
    # 3 steps of warm-up and one that fills no interval; all exponents together: the volume
    volume = np.linalg.slogdet(step_TxBxHxH[4:])[1].mean()
    assert float(one.lyapunov.sum()) == pytest.approx(volume, rel=1e-9)
    assert np.all(np.diff(one.lyapunov) <= 0)
    for span in (1, 2, 4):  # from the end of the warm-up on
        product = np.linalg.multi_dot([np.eye(H), *step_TxBxHxH[3 : 3 + span, 0][::-1]])
        exact = np.log(np.linalg.svd(product)[1])
        np.testing.assert_allclose(one.singular.sel(span=span), exact[:2], rtol=1e-9)
        np.testing.assert_allclose(one.singular_smallest.sel(span=span), exact[-1], rtol=1e-9)
    for name, matrix in recurrent_matrices(cell, params).items():
        radius, norm = spectral_radius(matrix), np.linalg.svd(matrix)[1][0]
        assert float(one.spectral_radius.sel(matrix=name)) == pytest.approx(radius, rel=1e-12)
        assert float(one.spectral_norm.sel(matrix=name)) == pytest.approx(norm, rel=1e-12)
    gates = jax.jit(lambda: gate_saturation(cell, params, seen, batch.lengths_B))()
    for name, shares in gates.high.items():
        np.testing.assert_allclose(one.gate_high.sel(gate=name), shares)
        np.testing.assert_allclose(one.gate_low.sel(gate=name), gates.low[name])
    np.testing.assert_allclose(one.time_constant, time_constant(gates.mean["update"]), rtol=1e-9)
    hidden = hidden_saturation(seen.states["h"], batch.lengths_B)
    assert (float(one.dead), float(one.saturated)) == tuple(map(float, hidden))


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
    [seen] = apply(model, batch, teacher=lambda batch: taught, watch=True).watched
    [unit] = model.units()
    whole, driven = whole_step(unit.layer.cell, model.stack.structure, seen, taught)
    again = unroll(
        whole, unit.layer.params(), driven.inputs_TxBxI, state=seen.start, keep_states=True
    ).states
    assert again is not None
    np.testing.assert_allclose(again["h"], seen.states["h"], rtol=1e-5, atol=1e-6)
    alone = unroll(
        unit.layer.cell, unit.layer.params(), seen.inputs_TxBxI, state=seen.start, keep_states=True
    ).states
    assert alone is not None
    assert not np.allclose(alone["h"], seen.states["h"], atol=1e-3)


def test_time_is_run_through_step_by_step() -> None:
    model = model_of("min_gru", path=Path(associative=True, remat_steps=0))
    plain = step_by_step(model)
    assert isinstance(plain, SequenceModel)
    assert plain.stack.structure.path == Path()
    assert model.stack.structure.path.associative


def test_what_is_too_large_is_reduced_and_said() -> None:
    cell = build(("lstm", {}), I, H)
    params = cell.init(jax.random.key(0))
    fitted, notes = fit_unit(Laboratory(exponents=9, rank=5), cell, params, 20, 1)
    assert (fitted.exponents, fitted.rank, fitted.warmup_steps) == (6, 3, 10)
    assert (fitted.spans, fitted.begin, fitted.interval_steps) == ((1, 2, 4, 8, 16), 4, 4)
    assert notes == [
        "exponents 9 reduced to 6, the state's coordinates",
        "rank 5 reduced to 3, the hidden units",
        "warmup_steps 50 reduced to 10: all examples have 20 steps",
        "longest_span 64 reduced to 16: all examples have 20 steps",
    ]
    quiet = Laboratory(exponents=0, rank=0, warmup_steps=0, interval_steps=1, longest_span=1)
    assert fit_unit(quiet, cell, params, 20, 1)[1] == []
    short, notes = fit_unit(quiet, cell, params, 1, 1)
    assert (short.exponents, short.spans) == (0, (1,))
    assert notes == ["no Lyapunov exponents: they take two steps, and all examples have 1"]
    _, notes = fit_unit(replace(quiet, interval_steps=15, product_examples=2), cell, params, 20, 1)
    assert notes == [
        "product_examples 2 reduced to 1, the examples",
        "interval_steps 15 reduced to 10: 20 steps are left after the warm-up",
    ]


def test_counters_have_no_exponent() -> None:
    cell = build(("clockwork", {"modules": 3}), I, H)
    fitted, _ = fit_unit(Laboratory(exponents=0), cell, cell.init(jax.random.key(0)), 200, 1)
    assert fitted.exponents == H


def test_sequences_of_one_step_have_no_exponents_but_all_the_rest() -> None:
    cell = linear_cell()
    arguments = {"w_h": jnp.eye(4)}, jnp.zeros((1, 1, 4)), {"h": jnp.zeros((1, 4))}
    fitted, _ = fit_unit(Laboratory(rank=1), cell, arguments[0], 1, 1)
    measure = partial(cell_figures, cell, fitted=fitted)
    shapes = jax.eval_shape(measure, *arguments, None, jax.random.key(0))
    data = cell_dataset(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes), fitted)
    assert "lyapunov" not in data
    assert data.singular.shape == (1, 1)


def test_the_longest_examples_are_taken_the_first_of_equal_ones() -> None:
    assert choose_examples(None, 5, 2).tolist() == [0, 1]
    assert choose_examples(jnp.array([3, 7, 5, 7, 7]), 5, 2).tolist() == [1, 3]
    assert choose_examples(jnp.array([3, 7]), 2, 0).tolist() == [0, 1]
    assert halving_edges(100) == (0, 1, 3, 6, 12, 25, 50, 100)


def test_more_memory_than_allowed_names_what_to_lower(caplog: pytest.LogCaptureFixture) -> None:
    model, batch = model_of("lstm"), batch_of()
    caplog.set_level(logging.INFO, "rnnexp")
    prepare(SETTINGS, model, batch, scores, None, "it")
    assert "laboratory of it: measuring takes up to 0.0 MiB" in caplog.text
    small = replace(SETTINGS, memory_gib=1e-9)
    with pytest.raises(UsageError, match=r"measuring it takes up to .* GiB.*lower laboratory\."):
        prepare(small, model, batch, scores, None, "it")
    needs = [Need(3 * 2**30, "A", "lower a"), Need(2**30, "B", "lower b")]
    with pytest.raises(UsageError, match=r"takes up to 4 GiB.*\(3 GiB\) is for A: lower a, or"):
        require_memory(Laboratory(), needs, "it")
    wide = build(("lstm", {}), I, 512)
    with pytest.raises(UsageError, match=r"Lyapunov exponents: lower laboratory\.exponents"):
        examine_cell(
            wide, jax.eval_shape(wide.init, jax.random.key(0)), jnp.zeros((8, 4, I)),
            settings=Laboratory(exponents=0, examples=0, memory_gib=0.1),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"exponents": -1}, r"laboratory\.exponents must be at least 0, not -1"),
        ({"interval_steps": 0}, r"laboratory\.interval_steps must be at least 1, not 0"),
        ({"memory_gib": 0.0}, r"laboratory\.memory_gib must be positive"),
        ({"products": "exakt"}, "Did you mean 'exact'"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Laboratory(**change)


def test_inputs_of_another_width() -> None:
    with pytest.raises(
        UsageError, match=r"inputs must have the shape \(T, B, 4\), not \(3, 1, 5\)"
    ):
        examine_cell(linear_cell(), {"w_h": jnp.eye(4)}, jnp.zeros((3, 1, 5)))


def test_the_keys_of_a_run_have_the_settings_own_defaults() -> None:
    assert rnnexp.Laboratory(**laboratory_defaults()) == Laboratory()
