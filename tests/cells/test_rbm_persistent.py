"""Persistent chains: plain loops, what a checkpoint brings back, lanes, the bias that is left."""

import contextlib
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cells import cell as register
from rnnexp.cells.base import Cell
from rnnexp.cells.gibbs import Machine, expected_contrast
from rnnexp.cells.rbm import rbm
from rnnexp.cells.rnn import rnn
from rnnexp.core.errors import UsageError
from rnnexp.core.tree import named_leaves
from rnnexp.core.types import Batch
from rnnexp.run.checkpoint import Checkpoints, Progress
from rnnexp.tasks.base import Endless
from rnnexp.tasks.batches import training_batch
from rnnexp.train.compiled import LaneStates, Programs, initial_state
from rnnexp.train.lanes import LaneLayout
from rnnexp.train.loss import backward
from rnnexp.train.plan import Plan, make_lane, make_plan
from rnnexp.train.program import StepInputs, TrainState, first_carry
from tests.helpers.bits import sigmoid
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.small_programs import configured, programs

NAME = "bars_and_stripes/rbm"
N, H, B, RATE = 4, 3, 8, 0.5
PCD = {
    "task__side": 2, "cell__hidden_size": H, "cell__gibbs_steps": 2, "cell__chain": "persistent",
    "optimizer__name": "sgd", "optimizer__schedule": "constant", "optimizer__learning_rate": RATE,
    "clip__name": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def program() -> Programs:
    """Nine updates or fewer, and plain ones: sgd without clipping."""
    return programs(NAME, **PCD)


def batch_of(plan: Plan, step: int) -> Batch:
    """The batch of a step of a run."""
    source, key = plan.recipe.task.train, jax.random.fold_in(jax.random.key(plan.config.seed), 1)
    assert isinstance(source, Endless)
    number = jnp.asarray(step, jnp.int32)
    return training_batch(source, (), jnp.zeros(0), key, number, plan.recipe.batch_size)


def first_state(plan: Plan) -> TrainState:
    """The state before the first update, with weights so large that a chain remembers."""
    w = 3.0 * jax.random.normal(jax.random.key(6), (N, H))
    own = {"w": w, "b": -w.sum(1) / 2, "c": -w.sum(0) / 2}
    return initial_state(plan)._replace(params={"stack": {"layers": {0: own}}})


def by_hand(plan: Plan, updates: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The parameters and the chains after so many updates: loops over examples and Gibbs steps."""
    params = first_state(plan).params["stack"]["layers"][0]
    w, b, c = (np.array(params[name], float) for name in "wbc")
    chains = np.zeros((B, N))
    for step in range(updates):
        batch = batch_of(plan, step)
        slope = [np.zeros_like(w), np.zeros_like(b), np.zeros_like(c)]
        for e in range(B):
            key = jax.random.wrap_key_data(batch.context["seed"][e])
            v = chains[e]
            for uniform in np.asarray(jax.random.uniform(key, (2, H + N))):
                h = (uniform[:H] < sigmoid(c + v @ w)).astype(float)
                v = (uniform[H:] < sigmoid(b + w @ h)).astype(float)
            chains[e] = v
            for bits, sign in ((np.asarray(batch.targets[e]), -1), (v, 1)):  # -sign dF, by hand
                on = sigmoid(c + bits @ w)
                for total, part in zip(slope, (np.outer(bits, on), bits, on), strict=True):
                    total += sign * part / B
        w, b, c = w - RATE * slope[0], b - RATE * slope[1], c - RATE * slope[2]
    return {"w": w, "b": b, "c": c}, chains


def test_updates_and_chains_equal_loops_by_hand(program: Programs) -> None:
    assert any("PCD-2" in note for note in program.plan.notes)
    state = first_state(program.plan)
    np.testing.assert_array_equal(state.carry[0]["v"], np.zeros((B, N)))
    seen = []
    for updates in (1, 2, 9):
        state, _ = program.advance(state, updates, 1)
        params, chains = by_hand(program.plan, updates)
        np.testing.assert_array_equal(state.carry[0]["v"], chains)
        for name, value in params.items():
            own = state.params["stack"]["layers"][0][name]
            np.testing.assert_allclose(own, value, rtol=1e-4, atol=1e-6)
        seen.append(chains)
    assert not np.array_equal(seen[0], seen[1])


def test_a_restored_state_goes_on_with_its_chains(program: Programs, tmp_path: Path) -> None:
    whole, _ = program.advance(first_state(program.plan), 9, 2)
    half, _ = program.advance(first_state(program.plan), 4, 2)
    with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
        checkpoints.save("last", jax.device_get(half), Progress(4, 0.1, 1, 2))
        found = checkpoints.restore("last", jax.tree.map(jnp.zeros_like, program.initial()))
    assert found is not None
    assert np.any(found[0].carry[0]["v"])
    resumed, _ = program.advance(found[0], 9, 2)
    expected = named_leaves(whole)
    for name, leaf in named_leaves(resumed).items():
        np.testing.assert_array_equal(leaf, expected[name], err_msg=name)


@pytest.mark.slow
def test_lanes_have_chains_of_their_own(program: Programs) -> None:
    plans = [make_lane(program.plan, configured(NAME, **PCD, seed=seed)) for seed in (0, 1)]
    wide = LaneStates(Programs(program.plan, LaneLayout(width=2)))
    for slot, plan in enumerate(plans):
        wide.put(slot, plan, first_state(plan))
    wide.launch([9, 9], [1, 1])
    for plan, state in zip(plans, wide.states(), strict=True):
        np.testing.assert_array_equal(state.carry[0]["v"], by_hand(plan, 9)[1])


def test_its_bias_vanishes_where_that_of_cd_stays(x64: None) -> None:
    """Of a machine that stays as it is: after some updates the chains have its distribution,
    whereas CD-1 begins at the patterns every time."""
    w = 3.0 * jax.random.normal(jax.random.key(6), (N, H))  # |lambda_2| of its kernel: 0.82
    machine = Machine(w, -w.sum(1) / 2, -w.sum(0) / 2)
    bias = {chain: biases_of(chain, machine) for chain in ("sampled", "persistent")}
    assert min(bias["sampled"]) > 0.1
    assert bias["persistent"][0] > 0.1
    assert bias["persistent"][1] < 0.05  # twice the noise of 4,000 chains


def biases_of(chain: str, machine: Machine) -> list[float]:
    """How far the gradients of updates 1 and 40 are from that of the exact likelihood."""
    count = 4000
    options = PCD | {"cell__gibbs_steps": 1, "cell__chain": chain, "train__batch_size": count}
    plan = make_plan(configured(NAME, **options), data_dir=None, chunk_steps=10)
    params = {"stack": {"layers": {0: dict(zip("wbc", machine, strict=True))}}}
    own = jax.jit(lambda inputs: backward(plan.recipe, params, inputs, record=False))
    carry, found = first_carry(plan.recipe, params), []
    for step in range(40):
        batch, number = batch_of(plan, step), jnp.asarray(step, jnp.int32)
        got = own(StepInputs(batch, carry, jax.random.key(0), plan.hyper, number))
        carry = got.carry
        data_S = np.bincount(
            (np.asarray(batch.targets) @ 2 ** np.arange(N)).astype(int), minlength=2**N
        )
        true = expected_contrast(machine, jnp.asarray(data_S / count), None)
        slope = got.grads["stack"]["layers"][0]
        parts = [slope[name] - leaf for name, leaf in zip("wbc", true, strict=True)]
        found.append(float(np.sqrt(sum(np.sum(np.square(part)) for part in parts))))
    return [found[0], found[-1]]


@pytest.mark.usefixtures("own_tables")
def test_where_a_chain_cannot_go_on() -> None:
    with pytest.raises(UsageError, match="the exact likelihood has no chain"):
        rbm(N, H, chain="persistent", objective="exact")

    def goes_on(input_size: int, hidden_size: int) -> Cell:
        """An Elman cell that says it is persistent."""
        return replace(rnn(input_size, hidden_size), persistent=True)

    register("goes_on")(goes_on)
    with pytest.raises(UsageError, match="persistent is True and steps is 0") as said:
        programs("adding/goes_on")
    assert "\n" not in str(said.value)
