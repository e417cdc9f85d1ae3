"""dL/dW by lags: sums against autodiff, closed forms, memory and names."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.cells.base import Cell
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.gradflow.position_losses import Model, apply
from rnnexp.laboratory.lag_gradients import (
    LagGradients,
    in_bins,
    lag_bytes,
    lag_gradients,
    lag_norms,
    long_range_fraction,
)
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.scan.unroll import TimeLoop
from tests.helpers.lag_models import (
    EVERY,
    TO_ONE,
    B,
    H,
    I,
    O,
    T,
    batch_for,
    by_lags,
    losses,
    sequence_model,
    transducer,
    valid,
)
from tests.helpers.renamed import renamed
from tests.helpers.variants import build


def by_autodiff(model: Model, batch: Batch, padded: bool, **keys: Any) -> list[dict[str, Any]]:
    """dL/dW of every unit's layer, of the model as it is."""
    graphdef, params = nnx.split(model, nnx.Param)

    def loss(params: Tree) -> Array:
        outputs = apply(nnx.merge(graphdef, params), batch, **keys).outputs
        return jnp.sum(jnp.where(valid(model, padded), losses(outputs, batch), 0.0)) / B

    grads = nnx.merge(graphdef, jax.jit(jax.grad(loss))(params))
    by_unit = [nnx.to_pure_dict(nnx.state(unit.layer, nnx.Param)) for unit in grads.units()]
    numbers: list[dict[str, Any]] = jax.tree.map(np.asarray, by_unit)
    return numbers


CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("rnn", "synchronous", {}),
    ("lstm", TO_ONE, {"zoneout": 0.3, "pooling": "mean"}),
    ("gru", "synchronous", {"bidirectional": True, "learned_state": True}),
    ("clockwork", "synchronous", {"time_loop": TimeLoop(cut_steps=2)}),
]
SLOW: list[tuple[str, str, dict[str, Any]]] = [
    ("lstm", "synchronous", {"layer_norm": True}),
]


@pytest.mark.parametrize(
    "case",
    [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)],
    ids=lambda case: "-".join([*case[:2], *case[2]]),
)
def test_the_bins_add_up_to_the_gradient(case: tuple[str, str, dict[str, Any]], x64: None) -> None:
    cell, mode, keys = case
    model = sequence_model(cell, mode, **dict(keys))
    batch = batch_for(model, padded=True)
    equals_autodiff(model, by_lags(model, batch), by_autodiff(model, batch, True))


def test_a_start_made_of_parameters_is_the_step_before_the_first(x64: None) -> None:
    def make(size: int, layer: int) -> Cell:
        cell = build(("rnn", {}), size, H, layer=layer)
        return dataclasses.replace(cell, init_state=lambda params: {"h": params["b"]})

    model = SequenceModel(
        make, structure=Structure(), input_size=I, output_size=O, mode=TO_ONE,
        key=jax.random.key(0),
    )  # fmt: skip
    batch = batch_for(model)
    got = by_lags(model, batch, edges=EVERY)
    equals_autodiff(model, got, by_autodiff(model, batch, False))
    assert np.any(got.parts["layer_0"]["b"][T])
    assert not np.any(got.parts["layer_0"]["w_h"][T])


def test_parameters_have_the_names_of_their_gradients(x64: None) -> None:
    """Also those that a layer's module uses itself."""
    model = SequenceModel(
        lambda size, layer: renamed(build(("rnn", {}), size, H, layer=layer)),
        structure=Structure(learned_state=True),
        input_size=I,
        output_size=O,
        mode=TO_ONE,
        key=jax.random.key(0),
    )
    batch = batch_for(model)
    equals_autodiff(model, by_lags(model, batch), by_autodiff(model, batch, False))


def test_the_bins_of_a_transducer_add_up_too(x64: None) -> None:
    model = transducer("lstm", attention="dot", bidirectional=True, learned_state=True)
    batch = batch_for(model, padded=True)
    equals_autodiff(model, by_lags(model, batch), by_autodiff(model, batch, True))


def test_the_bins_of_a_network_that_reads_its_output_add_up_too(x64: None) -> None:
    model = sequence_model("narx", options={"output_delay_steps": 2})
    batch = batch_for(model, padded=True)
    keys: list[dict[str, Any]] = [{}, {"teacher": lambda batch: batch.targets}]
    free, taught = (by_lags(model, batch, **key) for key in keys)
    equals_autodiff(model, free, by_autodiff(model, batch, True, **keys[0]))
    equals_autodiff(model, taught, by_autodiff(model, batch, True, **keys[1]))
    assert not np.allclose(taught.total["layer_0"]["w"], free.total["layer_0"]["w"])


def equals_autodiff(model: Model, got: LagGradients, grads: list[dict[str, Any]]) -> None:
    """The sum over bins equals dL/dW, and some of it comes from a lag above 0."""
    for unit, exact in zip(model.units(), grads, strict=True):
        assert set(got.parts[unit.name]) == set(exact)
        for name, value in exact.items():
            part = got.parts[unit.name][name]
            assert part.shape == (len(got.edges), *value.shape)
            np.testing.assert_allclose(part.sum(0), value, rtol=1e-9, atol=1e-13)
            np.testing.assert_allclose(got.total[unit.name][name], value, rtol=1e-9, atol=1e-13)
    assert any(np.any(part[1:]) for parts in got.parts.values() for part in parts.values())


def test_the_bias_of_a_linear_rnn_loses_exactly_c_a_step(x64: None) -> None:
    options = {"activation": "linear", "recurrent_scale": 0.5}
    model = sequence_model("rnn", TO_ONE, options=options)
    norms = lag_norms(by_lags(model, batch_for(model), edges=EVERY))["layer_0/b"]
    np.testing.assert_allclose(norms[:T], norms[0] * 0.5 ** np.arange(T), rtol=1e-12)
    assert norms[T] == 0


def test_a_delay_line_learns_nothing_beyond_its_taps(x64: None) -> None:
    model = sequence_model("tdnn", options={"delay_steps": 2})
    batch = batch_for(model)
    got = by_lags(model, batch, edges=EVERY)
    equals_autodiff(model, got, by_autodiff(model, batch, False))
    for norms in lag_norms(got).values():
        assert (norms[:3] > 0).all()
        assert (norms[3:] == 0).all()
    assert set(map(float, long_range_fraction(got, 2).values())) == {0.0}
    assert all(0 < share < 1 for share in long_range_fraction(got, 1).values())


def test_one_product_a_step_gives_what_one_a_bin_gives(x64: None) -> None:
    model = sequence_model("gru", TO_ONE, learned_state=True)
    batch = batch_for(model)
    full = batch._replace(lengths_B=jnp.full(B, T, jnp.int32))
    one, many = by_lags(model, batch), by_lags(model, full)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14), one.parts, many.parts
    )


def test_a_vanished_long_range_part_shows_in_its_share_alone(x64: None) -> None:
    model = sequence_model("rnn", TO_ONE, options={"activation": "linear"})
    kept = by_lags(model, batch_for(model))
    weak = {"activation": "linear", "recurrent_scale": 1e-3}
    lost = by_lags(sequence_model("rnn", TO_ONE, options=weak), batch_for(model))
    assert float(long_range_fraction(kept, 1)["layer_0/w_x"]) > 0.2
    assert float(long_range_fraction(lost, 1)["layer_0/w_x"]) < 1e-5
    assert float(jnp.linalg.norm(lost.total["layer_0"]["w_x"])) > 0.1


@pytest.mark.parametrize(
    ("mode", "padded"),
    [(TO_ONE, False), pytest.param("synchronous", True, marks=pytest.mark.slow)],
)
def test_memory_is_what_the_compiled_program_takes(mode: str, padded: bool) -> None:
    model = sequence_model("lstm", mode)
    shape = (16, O) if mode == TO_ONE else (150, 16, O)
    lengths = jnp.full(16, 150, jnp.int32) if padded else None
    batch = Batch(jnp.zeros((150, 16, I)), jnp.zeros(shape), lengths)
    graphdef, params = nnx.split(model, nnx.Param)
    program = jax.jit(lambda params: lag_gradients(nnx.merge(graphdef, params), batch, losses))
    used: Any = program.lower(params).compile().memory_analysis()
    taken = used.temp_size_in_bytes + used.output_size_in_bytes
    stated = lag_bytes(model, batch, losses)
    assert 0.7 < stated / taken < 1.3


def test_parts_of_single_lags_add_up_to_those_of_bins_and_of_the_gradient(x64: None) -> None:
    model = sequence_model("lstm", bidirectional=True, num_layers=2)
    batch = batch_for(model, padded=True)
    each = by_lags(model, batch, edges=EVERY)
    equals_autodiff(model, each, by_autodiff(model, batch, True))
    for edges in ((0, 2, T), (1, T), (T,), EVERY):
        wide, direct = in_bins(each, edges), by_lags(model, batch, edges=edges)
        assert wide.edges == direct.edges
        for unit, parts in direct.parts.items():
            for name, part in parts.items():
                np.testing.assert_allclose(wide.parts[unit][name], part, rtol=1e-9, atol=1e-14)
                np.testing.assert_array_equal(wide.total[unit][name], each.total[unit][name])
    with pytest.raises(UsageError, match="must reach the longest lag, 4"):
        in_bins(each, (0, 2))
    with pytest.raises(UsageError, match=r"no bin of lags ends at 1\. Known: 0, 2, 4\."):
        in_bins(in_bins(each, (0, 2, T)), (1, T))


def test_every_single_lag_is_what_central_differences_of_copies_give(x64: None) -> None:
    """NumPy, with a W_t for each step: (L_s(W_t + e) - L_s(W_t - e)) / 2e, by the lag s - t."""
    model = sequence_model("rnn")
    batch = batch_for(model)
    each = by_lags(model, batch, edges=EVERY).parts["layer_0"]
    params = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    own, readout = params["stack"]["layers"][0], params["readout"]
    x, targets, e = np.asarray(batch.inputs_TxBxI), np.asarray(batch.targets), 1e-5

    def losses_of(copies: np.ndarray) -> np.ndarray:
        h, found = np.zeros((B, H)), []
        for t in range(T):
            h = np.tanh(x[t] @ own["w_x"] + h @ copies[t] + own["b"])
            outputs = h @ readout["kernel"] + readout["bias"]
            found.append(np.mean(np.sum(np.sin(outputs) * (1 + targets[t]), -1)))
        return np.array(found)

    expected = np.zeros((T + 1, H, H))
    for t, i, j in np.ndindex(T, H, H):
        copies = np.stack([own["w_h"]] * T)
        ends = []
        for sign in (1, -1):
            copies[t, i, j] = own["w_h"][i, j] + sign * e
            ends.append(losses_of(copies))
        slopes_S = (ends[0] - ends[1]) / (2 * e)
        assert not slopes_S[:t].any()
        expected[: T - t, i, j] += slopes_S[t:]
    np.testing.assert_allclose(each["w_h"], expected, rtol=1e-6, atol=1e-10)
    assert np.all(np.linalg.norm(each["w_h"], axis=(1, 2))[: T - 1] > 1e-3)


def test_bad_edges_are_named() -> None:
    model = sequence_model("rnn")
    batch = batch_for(model)
    with pytest.raises(UsageError, match="longest lag, 4, not end at 3"):
        lag_gradients(model, batch, losses, edges=[0, 3])
    with pytest.raises(UsageError, match="ascend"):
        lag_gradients(model, batch, losses, edges=[0, 8, 8])
    got = by_lags(model, batch)
    assert [int(edge) for edge in got.edges] == [0, 1, 2, 4]
    with pytest.raises(UsageError, match=r"not 3\. Known: 0, 1, 2\."):
        long_range_fraction(got, 3)
