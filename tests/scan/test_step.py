"""A cell that reads a context: the batch, Newton's iteration, adjoints and figures, by example."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Params, Tree
from rnnexp.gradflow.adjoints import perturb, probes, tap, zero_slot
from rnnexp.gradflow.position_losses import apply
from rnnexp.laboratory.examine import examine_cell, position_losses
from rnnexp.laboratory.jacobians import step_jacobians, trajectory
from rnnexp.laboratory.lag_gradients import lag_gradients
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.structure import Structure
from rnnexp.scan.unroll import TimeLoop, unroll
from rnnexp.tasks.base import Score
from tests.helpers.context_cells import HOPS, D, V, attending, contexts_for
from tests.helpers.contexts import bound

B, O = 3, 2  # noqa: E741
X = np.zeros((HOPS, B, V))  # float64 only where a test switches that on


def example(tree: Tree, number: int) -> Tree:
    """One example of a batch of contexts."""
    return jax.tree.map(lambda leaf: leaf[number], tree)


def test_a_batch_is_each_example_with_its_own_context(x64: None) -> None:
    cell, contexts = attending(), contexts_for(jax.random.key(1), B)
    params = cell.init(jax.random.key(0))

    def final(params: Params, loop: TimeLoop) -> tuple[Array, Array]:
        run = unroll(cell, params, jnp.asarray(X), context=contexts, time_loop=loop)
        return jnp.sum(run.final_BxH**3), run.outputs_TxBxH

    def by_example(params: Params) -> Array:
        states = []
        for number in range(B):
            one = bound(cell, example(contexts, number))
            state = one.init_state(params)
            for step in range(HOPS):
                state = one.transition(params, state, jnp.asarray(X[step, number]))
            states.append(state["u"])
        return jnp.sum(jnp.stack(states) ** 3)

    value, grads = jax.jit(jax.value_and_grad(by_example))(params)
    for loop in (TimeLoop(), TimeLoop(remat_steps=2), TimeLoop(newton="full")):
        measure = jax.jit(jax.value_and_grad(lambda p: final(p, loop), has_aux=True))  # noqa: B023
        (got, outputs), got_grads = measure(params)
        assert outputs.shape == (HOPS, B, D)
        np.testing.assert_allclose(got, value, rtol=1e-9)
        for name, grad in grads.items():
            np.testing.assert_allclose(got_grads[name], grad, rtol=1e-7, atol=1e-9)
    with pytest.raises(UsageError, match="attending' reads a context, and the batch has none"):
        unroll(cell, params, jnp.asarray(X))


@pytest.mark.parametrize("probe", [tap, perturb])
def test_adjoints_are_products_of_each_examples_jacobians(probe: Any, x64: None) -> None:
    cell, contexts = attending(), contexts_for(jax.random.key(2), B)
    params = cell.init(jax.random.key(0))
    weights_D = jnp.arange(1.0, D + 1)

    def loss(slot: Tree) -> Array:
        (on_states,) = probes(probe, [slot])
        run = unroll(cell, params, jnp.asarray(X), context=contexts, probe=on_states)
        return jnp.sum(run.final_BxH @ weights_D)

    adjoints = jax.jit(jax.grad(loss))(zero_slot(cell, params, HOPS, B))["u"]
    for number in range(B):
        one = bound(cell, example(contexts, number))
        row = weights_D
        for step, jacobian in reversed(
            list(enumerate(step_jacobians(one, params, jnp.asarray(X[:, number]))))
        ):
            np.testing.assert_allclose(adjoints[step, number], row, rtol=1e-9)
            row = jacobian.T @ row


def model_and_batch() -> tuple[SequenceModel, Batch]:
    """A model of the cell with a readout, and a batch whose words it does not read."""
    model = SequenceModel(
        lambda size, layer: attending(), structure=Structure(), input_size=V, output_size=O,
        mode="story_to_answer", key=jax.random.key(0),
    )  # fmt: skip
    contexts = contexts_for(jax.random.key(3), B)
    words = jnp.full((11, B, V), jnp.nan)  # more of them than steps, and lengths of their own
    lengths = jnp.array([11, 4, 7], jnp.int32)
    targets = np.random.default_rng(0).normal(size=(B, O))
    return model, Batch(words, jnp.asarray(targets), lengths, context=contexts)


def scores(outputs: Array, batch: Batch) -> dict[str, Score]:
    return {"loss": Score(jnp.sum((outputs - batch.targets) ** 2, -1), jnp.ones(len(outputs)))}


def test_parts_by_lag_add_up_through_the_context_and_the_start(x64: None) -> None:
    model, batch = model_and_batch()
    graphdef, params = nnx.split(model, nnx.Param)

    def loss(params: Tree) -> Array:
        outputs = apply(nnx.merge(graphdef, params), batch).outputs
        return scores(outputs, batch)["loss"].mean()

    lags = lag_gradients(
        model, batch, position_losses(scores, mean=True), edges=range(HOPS + 1), examples=2
    )
    grads = nnx.to_pure_dict(jax.jit(jax.grad(loss))(params))["stack"]["layers"][0]
    for name in ("a", "b", "w_h"):
        np.testing.assert_allclose(lags.total["layer_0"][name], grads[name], rtol=1e-9)
    parts = lags.parts["layer_0"]
    assert all(np.any(parts["a"][lag]) for lag in range(HOPS))  # every hop reads A's memories
    assert not np.any(parts["b"][:HOPS])  # B acts at the start alone
    assert np.any(parts["b"][HOPS])


def test_figures_are_those_of_each_example(x64: None) -> None:
    cell, contexts = attending(), contexts_for(jax.random.key(4), 1)
    params = cell.init(jax.random.key(0))
    data = examine_cell(cell, params, jnp.asarray(X[:, :1]), context=contexts)
    one = bound(cell, example(contexts, 0))
    product = np.eye(D)
    for jacobian in step_jacobians(one, params, jnp.asarray(X[:, 0]))[2:]:
        product = np.asarray(jacobian) @ product
    expected = np.log(np.linalg.svd(product, compute_uv=False))
    np.testing.assert_allclose(data["singular"].sel(span=4), expected, rtol=1e-6)
    assert data["lyapunov"].attrs["units"] == "nats per hop"
    assert data["span"].attrs["units"] == "hops"
    states = trajectory(one, params, jnp.asarray(X[:, 0]))
    assert float(data["saturated"]) == np.mean(np.mean(np.abs(states[1:]) > 0.9, 0) > 0.95)
