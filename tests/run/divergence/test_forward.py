"""A divergence that began in the forward pass names the first state that was not finite."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import rnnexp
from rnnexp.core.types import Array, Batch, Key, Params, State
from rnnexp.run.callbacks import RunResult
from rnnexp.run.run import run
from rnnexp.tasks.base import Endless
from rnnexp.tasks.scores import once
from tests.helpers.own_tables import own_tables  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures("own_tables")
T = 6


def shaped(*, negative_at: int = -1, missing_at: int = -1) -> rnnexp.Task:
    """Positive numbers, but for one that is negative and one that is missing (NaN)."""

    def draw(key: Key, batch_size: int) -> Batch:
        x = jax.random.uniform(key, (T, batch_size, 1), minval=0.5, maxval=1.0)
        t = jnp.arange(T, dtype=jnp.int32)[:, None, None]
        x = jnp.where(t == negative_at, -x, x)
        return Batch(jnp.where(t == missing_at, jnp.nan, x), jnp.zeros((batch_size, 1)))

    def scores(outputs: Array, batch: Batch) -> dict[str, Any]:
        return {"loss": once(jnp.square(outputs - batch.targets)[:, 0])}

    source = Endless(draw)
    return rnnexp.Task(
        name="shaped", mode="sequence_to_one", input_size=1, output_size=1, num_steps=T,
        train=source, valid=source, test=source, scores=scores, baseline={"loss": 1.0},
        headline="loss", higher_is_better=False,
    )  # fmt: skip


def logarithm(input_size: int, hidden_size: int) -> rnnexp.Cell:
    """A sum of logarithms, which a tanh bounds; upper layers get inputs of both signs."""

    def transition(params: Params, state: State, x_I: Array) -> State:
        mean = jnp.mean(x_I) if input_size == 1 else jnp.mean(jnp.square(x_I)) + 1
        return {"h": jnp.tanh(state["h"] + params["w"] * jnp.log(mean))}

    return rnnexp.Cell(
        name="logarithm", input_size=input_size, output_size=hidden_size,
        init=lambda key: {"w": jax.random.normal(key, (hidden_size,))},
        init_state=lambda params: {"h": jnp.zeros(hidden_size)},
        transition=transition, parameter_count=hidden_size,
    )  # fmt: skip


def trained(runs_dir: Path, **changes: Any) -> RunResult:
    """A run of three updates."""
    rnnexp.task("shaped", modes=("sequence_to_one",))(shaped)
    rnnexp.cell("logarithm")(logarithm)
    config = rnnexp.experiment("shaped/logarithm")
    values = {
        "cell.hidden_size": 3, "train.batch_size": 4, "train.duration_steps": 3,
        "eval.examples": 8, "model.num_layers": 2,
    }  # fmt: skip
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    config.update_from_flattened_dict(values | changes)
    return run(rnnexp.finish(config), runs_dir=runs_dir)


@pytest.mark.parametrize("bidirectional", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_logarithm_of_a_negative_number_is_found(tmp_path: Path, bidirectional: bool) -> None:
    result = trained(tmp_path, task__negative_at=3, model__bidirectional=bidirectional)
    assert (result.status, result.step) == ("diverged", 0)
    unit = "layer_0_forward" if bidirectional else "layer_0"
    forward = {"leaf": "h", "unit": unit, "time": 3, "lag": T - 4, "input_time": None}
    assert result.details["divergence"]["forward"] == forward
    assert result.reason == (
        f"non-finite loss at step 0: in the forward pass h of {unit} left the finite range at "
        f"time step 3, {T - 4} steps before the end of the sequence"
    )


def test_an_input_that_is_not_finite_is_named(tmp_path: Path) -> None:
    result = trained(tmp_path, task__missing_at=2, model__num_layers=1)
    assert result.details["divergence"]["forward"]["time"] == 2
    assert result.reason.endswith("; the input at time step 2 is not finite")
