"""What unrolling starts from, goes on from, and keeps: states and inputs of every step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.cells.lru import lru
from rnnexp.cells.lstm import lstm
from rnnexp.core.types import Array, Params
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.models.transduction import Transducer
from rnnexp.scan.unroll import TimeLoop, Trajectory, Unrolled, initial_state, unroll
from tests.helpers.variants import build

T, B, I, H = 9, 3, 4, 5  # noqa: E741
STEPS, BATCH, INPUTS, HIDDEN = 7, 3, 2, 4
LENGTHS = jnp.array([7, 3, 5], jnp.int32)


def sequences() -> Array:
    return jax.random.normal(jax.random.key(1), (STEPS, BATCH, INPUTS))


def follow(layer: object, trajectory: Trajectory, lengths: Array | None) -> None:
    """A Python loop over the recorded inputs, example by example, gives the recorded states."""
    cell, params = layer.cell, layer.cell.prepare(layer.params())  # type: ignore[attr-defined]
    transition = jax.jit(cell.transition)
    for b in range(trajectory.inputs_TxBxI.shape[1]):
        state = {k: v[b] for k, v in trajectory.start.items()}
        for t in range(trajectory.inputs_TxBxI.shape[0]):
            if lengths is None or t < int(lengths[b]):
                state = transition(params, state, trajectory.inputs_TxBxI[t, b])
            for leaf, value in state.items():
                np.testing.assert_allclose(trajectory.states[leaf][t, b], value, atol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_every_unit_of_a_bidirectional_stack_is_watched_in_its_own_order(
    lengths: Array | None,
) -> None:
    structure = Structure(num_layers=2, bidirectional=True, learned_state=True)
    model = SequenceModel(
        lambda size, _: lstm(size, HIDDEN), structure=structure, input_size=INPUTS,
        output_size=2, mode="synchronous", key=jax.random.key(0),
    )  # fmt: skip
    x = sequences()
    got = nnx.jit(lambda model, x: model(x, ForwardOptions(lengths, keep_states=True)))(model, x)
    assert len(got.trajectories) == 4
    for unit, trajectory, final in zip(model.units(), got.trajectories, got.states, strict=True):
        follow(unit.layer, trajectory, lengths)
        np.testing.assert_array_equal(trajectory.states["c"][-1], final["c"])
    backward = got.trajectories[1].inputs_TxBxI
    ends = np.full(BATCH, STEPS) if lengths is None else np.asarray(lengths)
    for b, end in enumerate(ends):
        np.testing.assert_array_equal(backward[:end, b], x[:end, b][::-1])


@pytest.mark.usefixtures("x64")
def test_watching_changes_nothing_and_is_off_by_default() -> None:
    model = SequenceModel(
        lambda size, _: lstm(size, HIDDEN), structure=Structure(), input_size=INPUTS,
        output_size=2, mode="sequence_to_one", key=jax.random.key(0),
    )  # fmt: skip
    run = nnx.jit(
        lambda model, x, keep: model(x, ForwardOptions(LENGTHS, keep_states=keep)), static_argnums=2
    )
    plain = run(model, sequences(), False)
    assert list(plain.trajectories) == []
    trajectory = run(model, sequences(), True)
    assert trajectory.trajectories
    np.testing.assert_array_equal(plain.outputs, trajectory.outputs)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("attention", ["none", "dot"])
def test_encoder_and_decoder_are_watched(attention: str) -> None:
    model = Transducer(
        lambda size, _: lstm(size, HIDDEN), structure=Structure(attention=attention),
        input_size=INPUTS, output_size=3, key=jax.random.key(0),
    )  # fmt: skip
    targets = jnp.array([[1, 2, 0], [2, 1, 1], [0, 0, 2]], jnp.int32)
    got = nnx.jit(lambda model, x: model(x, targets, ForwardOptions(LENGTHS, keep_states=True)))(
        model, sequences()
    )
    encoder, decoder = model.units()
    follow(encoder.layer, got.trajectories[0], LENGTHS)
    follow(decoder.layer, got.trajectories[1], None)
    np.testing.assert_array_equal(
        got.trajectories[0].states["h"][-1], got.trajectories[1].start["h"]
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("time_loop", [TimeLoop(associative=True), TimeLoop(remat_steps=3)])
def test_all_paths_keep_the_same_states(time_loop: TimeLoop) -> None:
    cell = lru(INPUTS, HIDDEN)
    params = jax.tree.map(lambda x: x.astype(jnp.float64), cell.init(jax.random.key(0)))

    @jax.jit
    def both(params: Params, x: Array) -> list[Unrolled]:
        keys: dict[str, Any] = {"lengths_B": LENGTHS, "keep_states": True}
        return [unroll(cell, params, x, time_loop=way, **keys) for way in (TimeLoop(), time_loop)]

    plain, other = both(params, sequences())
    assert plain.states is not None
    assert other.states is not None
    for leaf, value in plain.states.items():
        np.testing.assert_allclose(other.states[leaf], value, atol=1e-10)
    assert unroll(cell, params, sequences(), time_loop=time_loop).states is None


def test_two_halves_equal_the_whole(x64: None) -> None:
    cell = build(("gru", {}), I, H)
    params = cell.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (T, B, I))

    @jax.jit
    def halved(params: Params, x: Array) -> tuple[Unrolled, Unrolled]:
        first = unroll(cell, params, x[:4])
        return unroll(cell, params, x), unroll(cell, params, x[4:], state=first.final_state)

    whole, second = halved(params, x)
    np.testing.assert_allclose(second.final_state["h"], whole.final_state["h"], rtol=1e-12)
    np.testing.assert_array_equal(initial_state(cell, params, B)["h"], jnp.zeros((B, H)))
