"""A head of the user's own that scores itself: trained, evaluated, measured by its own scores."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import experiment, finish, from_saved, run_id
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.gradflow.position_losses import apply
from rnnexp.laboratory.examine import position_losses
from rnnexp.laboratory.lag_gradients import lag_gradients
from rnnexp.models.forward import ForwardOptions
from rnnexp.models.heads import HEADS, head
from rnnexp.models.scoring import head_draw, head_scores, scores_of
from rnnexp.models.sequence import SequenceModel
from rnnexp.results.load import load_run
from rnnexp.run.callbacks import Observer
from rnnexp.run.run import run
from rnnexp.train.loss import batch_loss
from rnnexp.train.plan import Plan, make_plan
from rnnexp.train.program import StepInputs
from tests.helpers.own_heads import gaussian
from tests.helpers.own_tables import own_tables  # noqa: F401

pytestmark = pytest.mark.usefixtures("own_tables")


def small(noise: float = 0.0) -> FrozenConfigDict:
    """A short run of adding with the head."""
    if "gaussian" not in HEADS.names():
        head("gaussian")(gaussian)
    config = experiment("adding/gru", "gaussian")
    config.update_from_flattened_dict(
        {
            "head.noise": noise, "task.length_steps": 6, "cell.hidden_size": 5,
            "train.batch_size": 8, "train.duration_steps": 40, "eval.every_steps": 20,
            "eval.examples": 32, "eval.batch_size": 16, "record.every_steps": 10,
        }
    )  # fmt: skip
    return finish(config)


def planned(noise: float = 0.0) -> tuple[Plan, Batch]:
    plan = make_plan(small(noise), data_dir=None, chunk_steps=2)
    source = plan.recipe.task.train
    return plan, source.draw(jax.random.key(1), 8)  # type: ignore[union-attr]


def test_the_loss_is_the_heads_own_with_targets_and_key(x64: None) -> None:
    plan, batch = planned(noise=0.5)
    model = plan.recipe.model(plan.params)
    assert head_scores(model) is not None
    features = apply(model, batch).outputs
    assert features.shape == (8, 5)
    key = jax.random.key(2)
    kernel = np.asarray(plan.params["readout"]["w"])
    noisy = np.asarray(features) + 0.5 * np.asarray(jax.random.normal(key, features.shape))
    mean, log_var = (noisy @ kernel).T
    error = (np.asarray(batch.targets).reshape(-1) - mean) ** 2
    expected = np.mean((log_var + error / np.exp(log_var) + np.log(2 * np.pi)) / 2)
    inputs = StepInputs(batch, [], key, plan.hyper, jnp.zeros((), jnp.int32))
    loss, (means, *_) = batch_loss(plan.recipe, plan.params, inputs)
    np.testing.assert_allclose(loss, expected, rtol=1e-9)
    np.testing.assert_allclose(means["mse"], np.mean(error), rtol=1e-9)
    other = inputs._replace(key=jax.random.key(3))
    assert batch_loss(plan.recipe, plan.params, other)[0] != loss
    fixed = scores_of(model, plan.recipe.task.scores)
    assert fixed(features, batch)["loss"].mean() == fixed(features, batch)["loss"].mean()


def test_a_head_without_draws_writes_nothing() -> None:
    plan, _ = planned()
    model = plan.recipe.model(plan.params)
    assert isinstance(model, SequenceModel)
    with pytest.raises(UsageError, match="scores itself and draws nothing"):
        head_draw(model, 1.0)


def test_its_gradient_reaches_every_lag(x64: None) -> None:
    plan, batch = planned()
    model = plan.recipe.model(plan.params)
    graphdef, params = nnx.split(model, nnx.Param)
    scores = scores_of(model, plan.recipe.task.scores)

    def loss(params: Tree) -> Array:
        outputs = apply(nnx.merge(graphdef, params), batch, ForwardOptions()).outputs
        return scores(outputs, batch)["loss"].mean()

    lags = lag_gradients(model, batch, position_losses(scores, mean=True))
    grads = nnx.to_pure_dict(jax.jit(jax.grad(loss))(params))["stack"]["layers"][0]
    np.testing.assert_allclose(lags.total["layer_0"]["w_h"], grads["w_h"], rtol=1e-9, atol=1e-12)


class Heard(Observer):
    """Keeps what a run says at its start."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.baselines: list[str] = []

    def noted(self, text: str) -> None:
        self.lines.append(text)

    def compared(self, baselines: Mapping[str, float]) -> None:
        self.baselines += baselines


def test_a_run_with_it_says_that_the_baseline_does_not_apply(tmp_path: Path) -> None:
    heard = Heard()
    result = run(small(), runs_dir=tmp_path, observer=heard)
    assert "gaussian scores itself, in other units than the task" in " ".join(heard.lines)
    assert heard.baselines == []
    made = load_run(result.path)
    assert set(made.status["test"]) == {"loss", "mse"}
    assert made.baseline() == {}
    assert from_saved(made.config) == small()
    assert made.norms["h"].shape[2] == 6


def test_a_linear_head_leaves_the_name_of_a_run_alone() -> None:
    plain = finish(experiment("adding/gru"))
    values = plain.to_dict()
    del values["head"]
    assert run_id(from_saved(values)) == run_id(plain)
    assert run_id(small()) != run_id(plain)


def test_where_there_is_no_place_for_a_head() -> None:
    small()
    for name, text in (("mackey_glass/narx", "whole network"), ("reverse/gru", "asynchronous")):
        config = finish(experiment(name, "gaussian"))
        with pytest.raises(UsageError, match=rf"config.head.name: .*{text}"):
            make_plan(config, data_dir=None, chunk_steps=2)
    with pytest.raises(UsageError, match=r"unknown head 'gausian'. Did you mean 'gaussian'"):
        experiment("adding/gru", "gausian")
