"""Restricted machines as cells: the chain, CD-k and exact losses, estimates, and a run."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnexp
from rnnexp.cells.base import Cell
from rnnexp.cells.free_energy import free_energy, log_partition
from rnnexp.cells.gibbs import Machine, expected_contrast, gibbs_kernel
from rnnexp.cells.rbm import rbm
from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Params
from rnnexp.models.scoring import evaluation_scores_of, scores_of
from rnnexp.scan.unroll import unroll
from rnnexp.tasks.density import density_task
from rnnexp.train.loss import batch_loss
from rnnexp.train.plan import make_plan
from rnnexp.train.program import StepInputs
from tests.helpers.bits import all_bits, assert_drawn
from tests.helpers.noisy_params import with_noise
from tests.helpers.own_tables import own_tables  # noqa: F401

N, H = 4, 3


def params_of(cell: Cell) -> Params:
    """Parameters of size 1."""
    noisy: Params = with_noise(cell.init(jax.random.key(0)), 1.0, jax.random.key(1))
    return noisy


def machine_of(params: Params) -> Machine:
    return Machine(params["w"], params["b"], params["c"])


def ends(cell: Cell, params: Params, pattern_N: Any, count: int) -> Array:
    """The ends of so many chains from a pattern, each with a seed of its own, (count, N)."""
    seeds = jax.random.key_data(jax.random.split(jax.random.key(2), count))
    pattern = jnp.broadcast_to(jnp.asarray(pattern_N), (count, N))
    context = {"pattern": pattern, "seed": seeds}
    return unroll(cell, params, jnp.zeros((cell.steps, count, N)), context=context).final_BxH


def test_the_cells_steps_are_those_of_the_gibbs_kernel(x64: None) -> None:
    cell, count = rbm(N, H, gibbs_steps=3), 40_000
    params = params_of(cell)
    after = np.asarray(ends(cell, params, all_bits(N)[6], count))
    p = np.linalg.matrix_power(np.asarray(gibbs_kernel(machine_of(params))), 3)[6]
    assert_drawn(after, p)


def test_a_mean_field_chain_has_probabilities_in_place_of_samples(x64: None) -> None:
    cell = rbm(N, H, gibbs_steps=2, chain="mean_field")
    params = params_of(cell)
    w, b, c = map(np.asarray, machine_of(params))
    v = all_bits(N)[5]
    for _ in range(2):
        v = 1 / (1 + np.exp(-(b + w @ (1 / (1 + np.exp(-(c + v @ w)))))))
    np.testing.assert_allclose(ends(cell, params, all_bits(N)[5], 2)[1], v, rtol=1e-12)


def test_cd_has_the_expected_gradient(x64: None) -> None:
    cell, count = rbm(N, H, gibbs_steps=2), 40_000
    params = params_of(cell)
    start = jnp.asarray(all_bits(N)[9])
    targets = jnp.broadcast_to(start, (count, N))
    assert cell.scores is not None

    def loss(params: Params) -> Array:
        end = ends(cell, params, start, count)
        return jnp.mean(cell.scores(params, end, targets, jax.random.key(0))["loss"])  # type: ignore[misc]

    slope = jax.grad(loss)(params)
    expected = expected_contrast(machine_of(params), jax.nn.one_hot(9, 2**N), 2)
    np.testing.assert_allclose(slope["w"], expected.w_NxH, atol=0.012)
    np.testing.assert_allclose(slope["b"], expected.b_N, atol=0.012)
    assert np.max(np.abs(expected.w_NxH)) > 0.2


def test_the_gradient_through_a_chain_is_that_of_the_whole_difference(x64: None) -> None:
    through = rbm(N, H, gibbs_steps=3, chain="mean_field", through_chain=True)
    held = rbm(N, H, gibbs_steps=3, chain="mean_field")
    params, start = params_of(through), all_bits(N)[11]

    def loss(cell: Cell, w: Array) -> Array:
        own = {**params, "w": w}
        end = ends(cell, own, start, 1)
        return cell.scores(own, end, jnp.asarray(start)[None], jax.random.key(0))["loss"][0]  # type: ignore[misc]

    w = params["w"]
    slope = jax.grad(lambda w: loss(through, w))(w)
    for i in range(N):
        for j in range(H):
            move = jnp.zeros((N, H)).at[i, j].set(1e-6)
            numeric = (loss(through, w + move) - loss(through, w - move)) / 2e-6
            np.testing.assert_allclose(slope[i, j], numeric, rtol=1e-6, atol=1e-9)
    assert np.max(np.abs(slope - jax.grad(lambda w: loss(held, w))(w))) > 1e-3


def test_exact_losses_and_evaluations_are_the_likelihood(x64: None) -> None:
    exact, cd = rbm(N, H, objective="exact"), rbm(N, H)
    params, every = params_of(exact), jnp.asarray(all_bits(N))
    machine = machine_of(params)
    log_z = log_partition(*machine)
    nats = [float(free_energy(*machine, v) + log_z) for v in every]
    assert abs(np.exp(-np.array(nats)).sum() - 1) < 1e-12
    key = jax.random.key(0)
    for scores in (exact.scores, exact.evaluation_scores, cd.evaluation_scores):
        assert scores is not None
        got = scores(params, every, every, key)
        assert set(got) == {"loss"}
        np.testing.assert_allclose(got["loss"], nats, rtol=1e-12)


def test_beyond_20_units_an_evaluation_says_that_it_estimates(x64: None) -> None:
    cell = rbm(21, 24, ais_chains=50, ais_temperatures=50)
    assert "21 units is too large to enumerate" in cell.note
    params = {**cell.init(jax.random.key(0)), "b": jnp.linspace(-1.0, 1.0, 21)}
    params["w"] = 0.1 * jax.random.normal(jax.random.key(3), (21, 24))
    every = jax.random.bernoulli(jax.random.key(4), shape=(5, 21)).astype(float)
    assert cell.evaluation_scores is not None
    got = cell.evaluation_scores(params, every, every, jax.random.key(5))
    assert set(got) == {"loss", "loss_ais", "loss_ais_error"}
    np.testing.assert_array_equal(got["loss"], got["loss_ais"])
    # ln Z by the 21 visible units, in two halves of 20
    total = jnp.asarray(-jnp.inf)
    w, b, c = params["w"], params["b"], params["c"]
    for last in (0.0, 1.0):
        half = log_partition(w[:20], b[:20], c + last * w[20]) + last * b[20]
        total = jnp.logaddexp(total, half)
    free = machine_of(params).free_energies(every)
    error = float(got["loss_ais_error"][0])
    assert 0 < error < 0.1
    np.testing.assert_allclose(got["loss"], free + total, atol=4 * error)


def test_a_run_trains_the_difference_and_reports_nats(x64: None) -> None:
    config = experiment("bars_and_stripes/rbm")
    config.update_from_flattened_dict({"cell.hidden_size": 3, "task.side": 2})
    plan = make_plan(finish(config), data_dir=None, chunk_steps=2)
    assert not plan.own_units
    assert any("difference of free energies of CD-1" in note for note in plan.notes)
    model, task = plan.recipe.model(plan.params), plan.recipe.task
    batch = task.train.draw(jax.random.key(1), 8)  # type: ignore[union-attr]
    inputs = StepInputs(batch, [], jax.random.key(2), plan.hyper, jnp.zeros((), jnp.int32))
    loss, (_, _, _) = batch_loss(plan.recipe, plan.params, inputs)
    layer = plan.params["stack"]["layers"][0]
    own = {name: jnp.asarray(value) for name, value in layer.items()}
    end = model(batch.inputs_TxBxI, _options(batch)).outputs
    machine = machine_of(own)
    contrast = machine.free_energies(batch.targets) - machine.free_energies(end)
    np.testing.assert_allclose(loss, jnp.mean(contrast), rtol=1e-12, atol=1e-14)
    nats = machine.free_energies(batch.targets) + log_partition(*machine)
    found = evaluation_scores_of(model, task.scores)(end, batch)
    np.testing.assert_allclose(found["loss"].total_B, nats, rtol=1e-12)
    assert set(scores_of(model, task.scores)(end, batch)) == {"loss"}


def _options(batch: Any) -> Any:
    from rnnexp.models.forward import ForwardOptions

    return ForwardOptions(context=batch.context)


@pytest.mark.usefixtures("own_tables")
def test_values_that_are_no_bits_are_refused() -> None:
    def grey() -> Any:
        """Patterns with a 2 in them."""
        patterns = np.full((20, 4), 2, np.uint8)
        return density_task("grey", dict.fromkeys(("train", "valid", "test"), patterns))

    rnnexp.task("grey", modes=("density",))(grey)
    config = experiment("grey/rbm")
    config.train.batch_size = 4
    text = "cell 'rbm': targets must be 0 or 1, and those of task 'grey' have 2"
    with pytest.raises(UsageError, match=text) as said:
        make_plan(finish(config), data_dir=None, chunk_steps=2)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"objective": "cdk"}, "unknown objective 'cdk'"),
        ({"chain": "mean"}, "Did you mean 'mean_field'"),
        ({"gibbs_steps": 0}, "gibbs_steps must be at least 1"),
        ({"ais_chains": 1}, "ais_chains must be at least 2"),
        ({"through_chain": True}, "samples have no slope"),
        ({"objective": "exact"}, r"enumerates the states of 21 units, 2\^21; at most 20"),
    ],
)
def test_bad_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        rbm(30, 21, **options)
