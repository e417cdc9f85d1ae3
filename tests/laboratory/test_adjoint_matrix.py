"""dL_s/dh_t: closed forms, differences, rows that add up, memory, errors and names."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.gradflow.adjoints import perturb, probes
from rnnexp.gradflow.position_losses import apply
from rnnexp.laboratory.adjoint_matrix import (
    adjoint_matrix,
    class_adjoints,
    matrix_bytes,
)
from rnnexp.models.forward import ForwardOptions
from rnnexp.scan.unroll import TimeLoop
from tests.helpers.adjoint_models import (
    I,
    O,
    T,
    U,
    adjoint_tensor,
    jitted,
    linear_losses,
    losses,
    one_example,
    recorded,
    sequence_model,
    slots_of,
    transducer,
)


def test_rows_of_a_linear_orthogonal_rnn_are_constant_up_to_their_own_step(x64: None) -> None:
    model = sequence_model("rnn", options={"activation": "linear"})
    matrix = jitted(adjoint_matrix, model, one_example(), linear_losses)["layer_0"]
    norm = np.linalg.norm(np.sum(model.readout.kernel[...], axis=1))
    np.testing.assert_allclose(matrix, norm * np.tri(T), rtol=1e-12, atol=0)


def test_rows_shrink_by_exactly_c_a_step(x64: None) -> None:
    options = {"activation": "linear", "recurrent_scale": 0.5}
    matrix = jitted(
        adjoint_matrix, sequence_model("rnn", options=options), one_example(), linear_losses
    )["layer_0"]
    lag = np.arange(T)[:, None] - np.arange(T)[None, :]
    np.testing.assert_allclose(matrix, np.where(lag >= 0, matrix[0, 0] * 0.5**lag, 0), rtol=1e-12)


def test_a_delay_line_is_exactly_deaf_beyond_its_taps(x64: None) -> None:
    taps = 2
    model = sequence_model("tdnn", options={"delay_steps": taps})
    matrix = jitted(adjoint_matrix, model, one_example())["layer_0"]
    lag = np.arange(T)[:, None] - np.arange(T)[None, :]
    np.testing.assert_array_equal(matrix > 0, (lag >= 0) & (lag <= taps))


def test_entries_equal_central_differences(x64: None) -> None:
    model, batch = sequence_model("lstm", num_layers=2), one_example()
    tensors = jitted(adjoint_tensor, model, batch, leaf="c")
    matrix = jitted(adjoint_matrix, model, batch, leaf="c")

    @jax.jit
    def moved(slots: Any) -> Array:
        return losses(
            apply(model, batch, ForwardOptions(probes=probes(perturb, slots))).outputs, batch
        )[:, 0]

    slots, step = slots_of(model, batch), 1e-6
    for layer, t, unit in [(0, 0, 1), (0, 3, 4), (1, 2, 0), (1, T - 1, 2)]:
        up, down = ([dict(s) for s in slots] for _ in range(2))
        up[layer]["c"] = up[layer]["c"].at[t, 0, unit].add(step)
        down[layer]["c"] = down[layer]["c"].at[t, 0, unit].add(-step)
        numeric = (moved(up) - moved(down)) / (2 * step)
        exact = tensors[f"layer_{layer}"][:, t, unit]
        np.testing.assert_allclose(exact, numeric, rtol=1e-6, atol=1e-9)
        norms = np.linalg.norm(tensors[f"layer_{layer}"], axis=-1)
        np.testing.assert_allclose(matrix[f"layer_{layer}"], norms, rtol=1e-9)


@pytest.mark.parametrize("length", [pytest.param(None, marks=pytest.mark.slow), 4])
def test_rows_add_up_to_the_recorded_adjoint(length: int | None, x64: None) -> None:
    model = sequence_model("gru", num_layers=2, bidirectional=True)
    batch, n = one_example(length), length or T
    tensors = jitted(adjoint_tensor, model, batch)
    matrix = jitted(adjoint_matrix, model, batch)
    for unit, whole in zip(model.units(), recorded(model, batch, n), strict=True):
        ordered = np.concatenate([whole[:n][::-1], whole[n:]]) if unit.backward else whole
        np.testing.assert_allclose(tensors[unit.name].sum(0), ordered, rtol=1e-9, atol=1e-13)
        norms = np.linalg.norm(tensors[unit.name].reshape(T, T, -1), axis=-1)
        np.testing.assert_allclose(matrix[unit.name][:n, :n], norms[:n, :n], rtol=1e-9)
        assert np.isnan(matrix[unit.name][n:]).all()
        assert np.isnan(matrix[unit.name][:, n:]).all()
        assert np.isfinite(matrix[unit.name][:n, :n]).all()


@pytest.mark.parametrize("attention", [pytest.param("none", marks=pytest.mark.slow), "additive"])
def test_rows_of_a_transducer_are_its_target_symbols(attention: str, x64: None) -> None:
    model = transducer(attention=attention, bidirectional=True)
    batch = one_example(length=5, written=3)
    tensors = jitted(adjoint_tensor, model, batch)
    matrix = jitted(adjoint_matrix, model, batch)
    columns = {name: m.shape for name, m in matrix.items()}
    encoders = ("encoder_layer_0_forward", "encoder_layer_0_backward")
    assert columns == dict.fromkeys(encoders, (U, T)) | {"decoder_layer_0": (U, U)}
    for unit, whole in zip(model.units(), recorded(model, batch, 3), strict=True):
        ordered = np.concatenate([whole[:5][::-1], whole[5:]]) if unit.backward else whole
        np.testing.assert_allclose(tensors[unit.name].sum(0), ordered, rtol=1e-9, atol=1e-13)
        norms = np.linalg.norm(tensors[unit.name], axis=-1)
        columns_S = slice(5) if unit.name.startswith("encoder") else slice(3)
        np.testing.assert_allclose(
            matrix[unit.name][:3, columns_S], norms[:3, columns_S], rtol=1e-9
        )
    decoder = matrix["decoder_layer_0"]
    np.testing.assert_array_equal(decoder[:3, :3] > 0, np.tri(3, dtype=bool))
    assert np.isnan(decoder[3:]).all()
    assert np.isnan(decoder[:, 3:]).all()
    encoder = matrix["encoder_layer_0_backward"]
    assert (encoder[:3, :5] > 0).all()
    assert np.isnan(encoder[:, 5:]).all()


def test_class_rows_of_a_linear_orthogonal_rnn_are_the_readouts_columns(x64: None) -> None:
    model = sequence_model("rnn", "sequence_to_one", options={"activation": "linear"})
    graphdef, params = nnx.split(model, nnx.Param)
    run = jax.jit(lambda params, batch: class_adjoints(nnx.merge(graphdef, params), batch))
    columns = np.linalg.norm(model.readout.kernel[...], axis=0)
    whole = run(params, one_example())["layer_0"]
    np.testing.assert_allclose(whole, np.broadcast_to(columns[:, None], (O, T)), rtol=1e-12)
    short = run(params, one_example(4))["layer_0"]
    np.testing.assert_allclose(short[:, :4], whole[:, :4], rtol=1e-12)
    assert np.isnan(short[:, 4:]).all()


def test_class_rows_at_a_position_are_those_of_its_outputs(x64: None) -> None:
    model, batch = sequence_model("gru"), one_example()
    graphdef, params = nnx.split(model, nnx.Param)

    @jax.jit
    def run(params: Any) -> list[Array]:
        model = nnx.merge(graphdef, params)
        at_three = class_adjoints(model, batch, position=3)["layer_0"]
        by_output = [
            adjoint_matrix(model, batch, lambda y, b: y[..., c], rows=[3])["layer_0"][0]  # noqa: B023
            for c in range(O)
        ]
        return [at_three, jnp.stack(by_output)]

    at_three, by_output = run(params)
    np.testing.assert_allclose(at_three, by_output, rtol=1e-12)


def test_neither_blocks_nor_the_parallel_path_change_a_row(x64: None) -> None:
    batch = one_example()
    whole = jitted(adjoint_matrix, sequence_model("min_gru"), batch, block=1)["layer_0"]
    parallel = sequence_model("min_gru", time_loop=TimeLoop(associative=True))
    some = jitted(adjoint_matrix, parallel, batch, rows=(5, 1, 2), block=2)["layer_0"]
    np.testing.assert_allclose(some, whole[np.array([5, 1, 2])], rtol=1e-10, atol=1e-14)


def test_truncated_bptt_leaves_zeros_behind_every_cut(x64: None) -> None:
    model = sequence_model("gru", time_loop=TimeLoop(cut_steps=3))
    matrix = jitted(adjoint_matrix, model, one_example())["layer_0"]
    s, t = np.arange(T)[:, None], np.arange(T)[None, :]
    np.testing.assert_array_equal(matrix > 0, (t <= s) & (t // 3 == s // 3))


@pytest.mark.parametrize("block", [50, 4, pytest.param(1, marks=pytest.mark.slow)])
def test_memory_is_what_the_compiled_program_takes(block: int) -> None:
    model = sequence_model("lstm", num_layers=2)
    batch = Batch(jnp.zeros((200, 1, I)), jnp.zeros((U, 1)))
    graphdef, params = nnx.split(model, nnx.Param)
    program = jax.jit(
        lambda params: adjoint_matrix(nnx.merge(graphdef, params), batch, losses, block=block)
    )
    used: Any = program.lower(params).compile().memory_analysis()
    taken = used.temp_size_in_bytes + used.output_size_in_bytes
    stated = matrix_bytes(model, batch, losses, block=block)
    assert 0.7 < stated / taken < 1.3


def test_bad_requests_name_what_is_wrong() -> None:
    model, batch = sequence_model("gru"), one_example()
    with pytest.raises(UsageError, match=r"unknown leaf 'c'.*Known: h"):
        adjoint_matrix(model, batch, losses, leaf="c")
    with pytest.raises(UsageError, match=r"rows must lie in 0 \.\.\. 6, not 7"):
        adjoint_matrix(model, batch, losses, rows=[7])
    with pytest.raises(UsageError, match="of one example, not of 2"):
        adjoint_matrix(model, Batch(jnp.zeros((T, 2, I)), jnp.zeros(2)), losses)
    with pytest.raises(UsageError, match=r"\(S, 1\), not \(7,\)"):
        adjoint_matrix(model, batch, lambda y, b: y[:, 0, 0])
    with pytest.raises(UsageError, match="position"):
        class_adjoints(model, batch)
