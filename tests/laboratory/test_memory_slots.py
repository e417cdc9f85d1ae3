"""The adjoint of a slot is what a change of that slot at that step does to the loss."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells.ntm import ntm
from rnnexp.cells.rnn import rnn
from rnnexp.cells.stack_rnn import stack_rnn
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.gradflow.adjoints import norm_recorder, probes
from rnnexp.laboratory.memory_slots import MemorySlots, memory_slots, norms, slots_dataset
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure

T, I, H, O, N, W = 5, 2, 3, 2, 4, 2  # noqa: E741
LENGTH = 4
quickly = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
pytestmark = pytest.mark.usefixtures("x64")


def model_of(cell: Any, **structure: Any) -> SequenceModel:
    return SequenceModel(
        lambda size, layer: cell, structure=Structure(**structure), input_size=I, output_size=O,
        mode="synchronous", key=jax.random.key(0),
    )  # fmt: skip


def example() -> Batch:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((T, 1, I)), rng.standard_normal((T, 1, O))
    return Batch(jnp.asarray(x), jnp.asarray(y), jnp.array([LENGTH], jnp.int32))


def loss(outputs_TxBxO: Array, batch: Batch) -> Array:
    """Squared error over the valid steps."""
    error = (outputs_TxBxO - batch.targets)[:LENGTH]
    return jnp.mean(error**2)


def by_hand(model: SequenceModel, batch: Batch, unit: int, t: int, change_NxW: Array) -> Array:
    """The loss, a Python loop over both directions, with a change of one memory after step t."""
    read = []
    for number, layer in enumerate(model.stack.layers):
        cell, params = layer.cell, layer.params()
        state, outputs = cell.init_state(params), {}
        for s in range(LENGTH)[:: -1 if number else 1]:
            state = cell.transition(params, state, batch.inputs_TxBxI[s, 0])
            if (number, s) == (unit, t):
                state = {**state, "M": state["M"] + change_NxW}
            outputs[s] = cell.output(params, state, batch.inputs_TxBxI[s, 0])
        read.append(jnp.stack([outputs[s] for s in range(LENGTH)]))
    features = jnp.concatenate(read, axis=-1)
    outputs_TxO = model.readout(features)
    return jnp.mean((outputs_TxO - batch.targets[:LENGTH, 0]) ** 2)


def test_adjoints_by_slot_are_changes_by_hand() -> None:
    """Of both directions, whose adjoints are in the sequence's own order of time."""
    cell = ntm(I, H, slots=N, width=W, write_heads=2)
    model, batch = model_of(cell, bidirectional=True), example()
    found = jax.device_get(quickly(lambda: memory_slots(model, batch, loss))())
    places = [(0, 1), (1, 2)]

    @quickly
    def changed(changes: Array) -> list[Array]:
        return [
            jax.grad(by_hand, 4)(model, batch, unit, t, changes[k])
            for k, (unit, t) in enumerate(places)
        ]

    expected = changed(jnp.zeros((2, N, W)))
    slots = [found["layer_0_forward"], found["layer_0_backward"]]
    for (unit, t), slope in zip(places, expected, strict=True):
        np.testing.assert_allclose(slots[unit].adjoint_TxNxW[t], slope, rtol=1e-9, atol=1e-14)
        assert np.abs(slope).max() > 1e-5
    for of_unit in slots:
        assert np.isnan(of_unit.adjoint_TxNxW[LENGTH:]).all()
        assert np.isfinite(of_unit.adjoint_TxNxW[:LENGTH]).all()
        np.testing.assert_allclose(of_unit.weights["w_write"][:LENGTH].sum(-1), 1, rtol=1e-12)
    # backwards the last step is the first to be written
    first = jax.jit(cell.transition)(
        model.stack.layers[1].params(),
        cell.init_state(model.stack.layers[1].params()),
        batch.inputs_TxBxI[LENGTH - 1, 0],
    )
    np.testing.assert_allclose(slots[1].content_TxNxW[LENGTH - 1], first["M"], rtol=1e-12)


def test_norms_over_all_slots_are_those_that_training_records() -> None:
    cell, batch = stack_rnn(I, H, stacks=W, depth=N), example()
    model = model_of(cell, num_layers=1)

    @quickly
    def both() -> Any:
        recorder = norm_recorder(model.units(), [T], 1)

        def run(slots: Any) -> Array:
            options = ForwardOptions(
                lengths_B=batch.lengths_B, probes=probes(recorder.apply, slots)
            )
            return loss(model(batch.inputs_TxBxI, options).outputs, batch)

        recorded = recorder.norms(jax.grad(run)(recorder.slots), [batch.lengths_B])
        return recorded, memory_slots(model, batch, loss)

    (recorded,), found = jax.device_get(both())
    data = slots_dataset(found["layer_0"])
    assert data["adjoint_norm"].dims == ("time", "slot")
    assert data["adjoint_norm"].shape == (T, N)
    assert set(data.data_vars) == {"adjoint_norm", "content_norm", "content_mean"}  # no heads
    assert data["content_mean"][0, -1] == -1  # an empty place
    over_slots = np.sqrt((data["adjoint_norm"] ** 2).sum("slot"))
    np.testing.assert_allclose(over_slots[:LENGTH], recorded["M"][:LENGTH], rtol=1e-12)
    assert recorded["M"][0] > 0


def test_the_dataset_has_labels_and_the_whole_adjoint_if_asked() -> None:
    rng = np.random.default_rng(1)
    adjoint, content = rng.standard_normal((2, T, N, W)).astype(np.float32)
    weights = jnp.asarray(rng.uniform(size=(T, 2, N)))
    found = MemorySlots(jnp.asarray(1e-30 * adjoint), jnp.asarray(content), {"w_read": weights})
    data = slots_dataset(found, whole=True)
    assert data["adjoint"].dims == ("time", "slot", "width")
    assert data["w_read"].dims == ("time", "w_read_head", "slot")
    assert data["time"].attrs["units"] == "steps"
    assert "adjoint" not in slots_dataset(found)
    np.testing.assert_allclose(
        data["adjoint_norm"], 1e-30 * np.sqrt((adjoint.astype(float) ** 2).sum(-1)), rtol=1e-6
    )
    assert norms(1e-30 * adjoint).min() > 0  # whose squares no float32 holds


def test_what_has_no_slots_is_refused() -> None:
    with pytest.raises(UsageError, match="cell 'rnn' has no external memory"):
        memory_slots(model_of(rnn(I, H)), example(), loss)
    two = jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, leaf.ndim > 1), example())
    cell = ntm(I, H, slots=N, width=W)
    with pytest.raises(UsageError, match="are of one example, not of 2"):
        memory_slots(model_of(cell), two, loss)
