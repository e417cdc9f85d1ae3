"""dL/dW by lags: sums against autodiff, every bin against copies of the parameters."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.cells.base import Cell
from rnnexp.errors import UsageError
from rnnexp.gradflow.lag_gradients import (
    LagGradients,
    lag_bytes,
    lag_dataset,
    lag_gradients,
    lag_norms,
    long_range_share,
)
from rnnexp.gradflow.rows import Model, apply
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.models.transduction import Transducer
from rnnexp.types import Array, Batch, Tree
from rnnexp.unroll import Path
from tests.variants import build

T, U, B, I, H, O = 4, 3, 3, 2, 4, 3  # noqa: E741
LENGTHS, WRITTEN = (4, 2, 4), (2, 3, 3)
EVERY = tuple(range(T + 1))
TO_ONE = "sequence_to_one"


def sequence_model(cell: str, mode: str = "synchronous", **keys: Any) -> SequenceModel:
    """A small model; `options` go to the cell, the rest to the structure."""
    options = keys.pop("options", {})
    return SequenceModel(
        lambda size, layer: build((cell, options), size, H, layer=layer, output_size=O),
        structure=Structure(**keys),
        input_size=I,
        output_size=O,
        mode=mode,
        key=jax.random.key(0),
    )


def transducer(cell: str, **keys: Any) -> Transducer:
    """A small encoder and decoder."""
    return Transducer(
        lambda size, layer: build((cell, {}), size, H, layer=layer),
        structure=Structure(**keys),
        input_size=I,
        output_size=O,
        key=jax.random.key(0),
    )


def batch_for(model: Model, *, padded: bool = False) -> Batch:
    """Inputs, targets, and lengths if wanted."""
    x = jax.random.normal(jax.random.key(1), (T, B, I))
    if isinstance(model, Transducer):
        targets = jax.random.randint(jax.random.key(2), (U, B), 0, O)
        ends = jnp.array(WRITTEN, jnp.int32) if padded else None
    else:
        shape = (B, O) if model.mode == TO_ONE else (T, B, O)
        targets, ends = jax.random.normal(jax.random.key(2), shape), None
    return Batch(x, targets, jnp.array(LENGTHS, jnp.int32) if padded else None, ends)


def losses(outputs: Array, batch: Batch) -> Array:
    """Some smooth loss of every position, (S, B), that sees the targets."""
    targets = batch.targets
    if jnp.issubdtype(targets.dtype, jnp.integer):
        targets = jax.nn.one_hot(targets, O, dtype=outputs.dtype)
    each = jnp.sum(jnp.sin(outputs) * (1.0 + targets), -1)
    return each if each.ndim == 2 else each[None]


def valid(model: Model, padded: bool) -> np.ndarray:
    """Which outputs count, (S, B)."""
    if isinstance(model, Transducer):
        return np.arange(U)[:, None] < np.array(WRITTEN if padded else [U] * B)
    if model.mode == TO_ONE:
        return np.ones((1, B), bool)
    return np.arange(T)[:, None] < np.array(LENGTHS if padded else [T] * B)


def by_lags(model: Model, batch: Batch, **keys: Any) -> LagGradients:
    """`lag_gradients` as a compiled program."""
    graphdef, params = nnx.split(model, nnx.Param)

    def run(params: Tree, batch: Batch) -> LagGradients:
        return lag_gradients(nnx.merge(graphdef, params), batch, losses, **keys)

    got: LagGradients = jax.tree.map(np.asarray, jax.jit(run)(params, batch))
    return got


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
    ("lstm", "synchronous", {"layer_norm": True}),
    ("lstm", TO_ONE, {"zoneout": 0.3, "pooling": "mean"}),
    ("gru", "synchronous", {"bidirectional": True, "learned_state": True}),
    ("clockwork", "synchronous", {"path": Path(cut_steps=2)}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([*case[:2], *case[2]]))
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


def copies_of(model: Model) -> dict[str, Any]:
    """Parameters of all units, a copy for every step, (T, ...); (U, ...) in a decoder."""
    steps = {unit.name: U if "decoder" in unit.name else T for unit in model.units()}
    return {
        unit.name: jax.tree.map(
            lambda p, n=steps[unit.name]: jnp.broadcast_to(p, (n, *p.shape)),
            dict(unit.layer.params()),
        )
        for unit in model.units()
    }


def read_with_copies(unit: Any, copies: Any, x_TxI: Array, state: Any) -> tuple[Any, Array]:
    """A unit over one example, the parameters of each step its own; in its reading order."""
    cell = unit.layer.cell

    def step(state: Any, row: Any) -> tuple[Any, Array]:
        stepped: tuple[Any, Array] = cell.step(cell.prepare(row[0]), state, row[1])
        return stepped

    own = jax.tree.map(lambda copy: copy[: len(x_TxI)], copies)
    read: tuple[Any, Array] = jax.lax.scan(step, state, (own, x_TxI))
    return read


def stack_with_copies(units: list[Any], copies: Any, x_TxI: Array) -> tuple[Array, Any]:
    """Outputs of a stack over one example, (T, H), and the final state of its last unit."""
    while units:
        both = len(units) > 1 and units[1].backward
        layer, units = units[: 1 + both], units[1 + both :]
        ways = []
        for unit in layer:
            start = unit.layer.cell.init_state(unit.layer.params())
            way = slice(None, None, -1 if unit.backward else 1)
            state, y_TxH = read_with_copies(unit, copies[unit.name], x_TxI[way], start)
            ways.append(y_TxH[way])
        x_TxI = jnp.concatenate(ways, -1)
    return x_TxI, state


def bins_by_copies(model: Model, batch: Batch, run: Any, lag: Any) -> dict[str, dict[str, Any]]:
    """Parts by single lags 0 ... T + U from dL_s/dW_t of copies, example by example.

    `run`: `(copies, x_TxI of the valid steps, targets) -> outputs`, one a row. `lag`: `(unit,
    s, t, b) -> lag` with t in the unit's order of reading, or None where the row or the step
    is padding.
    """
    copies = copies_of(model)
    parts = {
        name: {k: np.zeros((T + U + 1, *v.shape[1:])) for k, v in params.items()}
        for name, params in copies.items()
    }
    to_one = isinstance(model, SequenceModel) and model.mode == TO_ONE

    def rows(copies: Any, x_TxI: Array, targets: Array) -> Array:
        outputs = run(copies, x_TxI, targets)
        shown = outputs if to_one else outputs[:, None]
        example = Batch(x_TxI[:, None], targets[None] if to_one else targets[:, None])
        return losses(shown, example)[:, 0] / B

    jacobians = jax.jit(jax.jacrev(rows))
    for b in range(B):
        targets = batch.targets[b] if to_one else batch.targets[:, b]
        length = T if batch.lengths_B is None else LENGTHS[b]
        got = jacobians(copies, batch.inputs_TxBxI[:length, b], targets)
        for unit in model.units():
            for name, jacobian in got[unit.name].items():
                for s, t in np.ndindex(jacobian.shape[:2]):
                    at = lag(unit, s, t, b)
                    if at is not None:
                        parts[unit.name][name][at] += jacobian[s, t]
    return parts


def equals_copies(got: LagGradients, parts: dict[str, dict[str, Any]]) -> None:
    """Every bin is what the copies of its lags contribute."""
    lower = [-1, *got.edges[:-1]]
    for unit, by_name in parts.items():
        for name, exact in by_name.items():
            for d, (after, up_to) in enumerate(zip(lower, got.edges, strict=True)):
                np.testing.assert_allclose(
                    got.parts[unit][name][d], exact[after + 1 : up_to + 1].sum(0),
                    rtol=1e-9, atol=1e-12, err_msg=f"{unit} {name} {up_to}",
                )  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "keys"),
    [
        ("lru", {"num_layers": 2, "path": Path(associative=True)}),
        ("rnn", {"num_layers": 2, "bidirectional": True}),
    ],
)
def test_every_bin_of_a_synchronous_stack_is_its_copies_share(
    cell: str, keys: dict[str, Any], x64: None
) -> None:
    model = sequence_model(cell, **keys)
    batch = batch_for(model)

    def run(copies: Any, x_TxI: Array, targets: Array) -> Array:
        del targets
        return jnp.asarray(model.readout(stack_with_copies(model.units(), copies, x_TxI)[0]))

    def lag(unit: Any, s: int, t: int, b: int) -> int:
        del b
        return abs(s - (T - 1 - t if unit.backward else t))

    parts = bins_by_copies(model, batch, run, lag)
    equals_copies(by_lags(model, batch, edges=EVERY, block=3, examples=2), parts)


def test_every_bin_of_a_sequence_to_one_stack_counts_from_the_units_end(x64: None) -> None:
    model = sequence_model("rnn", TO_ONE, num_layers=2, bidirectional=True)
    batch = batch_for(model, padded=True)

    def run(copies: Any, x_TxI: Array, targets: Array) -> Array:
        del targets
        y, _ = stack_with_copies(model.units(), copies, x_TxI)
        return jnp.asarray(model.readout(jnp.concatenate([y[-1, :H], y[0, H:]]))[None])

    def lag(unit: Any, s: int, t: int, b: int) -> int | None:
        del unit, s
        return LENGTHS[b] - 1 - t if t < LENGTHS[b] else None

    equals_copies(by_lags(model, batch), bins_by_copies(model, batch, run, lag))


def test_every_bin_of_a_transducer_counts_through_the_decoder(x64: None) -> None:
    model = transducer("gru")
    batch = batch_for(model, padded=True)
    encoder, decoder = model.units()

    def run(copies: Any, x_TxI: Array, targets: Array) -> Array:
        _, state = stack_with_copies([encoder], copies, x_TxI)
        # one_hot of -1 is the zero vector that the first step sees
        before = jnp.concatenate([jnp.full(1, -1, targets.dtype), targets[:-1]])
        shown = jax.nn.one_hot(before, O, dtype=x_TxI.dtype)
        _, y_UxH = read_with_copies(decoder, copies[decoder.name], shown, state)
        return jnp.asarray(model.readout(y_UxH))

    def lag(unit: Any, s: int, t: int, b: int) -> int | None:
        if s >= WRITTEN[b]:
            return None
        if unit.name == decoder.name:
            return s - t if t <= s else None
        return LENGTHS[b] - 1 - t + 1 + s if t < LENGTHS[b] else None

    equals_copies(by_lags(model, batch), bins_by_copies(model, batch, run, lag))


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
    assert set(map(float, long_range_share(got, 2).values())) == {0.0}
    assert all(0 < share < 1 for share in long_range_share(got, 1).values())


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
    assert float(long_range_share(kept, 1)["layer_0/w_x"]) > 0.2
    assert float(long_range_share(lost, 1)["layer_0/w_x"]) < 1e-5
    assert float(jnp.linalg.norm(lost.total["layer_0"]["w_x"])) > 0.1


@pytest.mark.parametrize(("mode", "padded"), [(TO_ONE, False), ("synchronous", True)])
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
        long_range_share(got, 3)


def test_the_dataset_has_a_row_a_parameter() -> None:
    parts = {"encoder": {"w": jnp.ones((2, 4)), "b": jnp.zeros((2, 3))}}
    parts["decoder"] = {"w": jnp.array([[[3.0], [0.0]], [[0.0], [4.0]]])}
    lags = LagGradients((0, 8), parts, jax.tree.map(lambda part: jnp.sum(part, 0), parts))
    data = lag_dataset(lags)
    assert data["lag_norm"].dims == ("parameter", "lag")
    np.testing.assert_array_equal(data["lag"], [0, 8])
    for name, by_lag, total in [
        ("encoder/w", [2, 2], 4), ("encoder/b", [0, 0], 0), ("decoder/w", [3, 4], 5),
    ]:  # fmt: skip
        row = data.sel(parameter=name)
        np.testing.assert_allclose(row["lag_norm"], by_lag, rtol=1e-6)
        np.testing.assert_allclose(row["parameter_norm"], total, rtol=1e-6)
