"""When a run takes Newton's iteration or a fused kernel, what it records, and what it says."""

import json
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from rnnexp import run
from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.results.load import load_run
from rnnexp.scan.kernels.gpu import problem as tried
from rnnexp.tasks.base import Bucket, Bucketed
from rnnexp.tasks.batches import first_batch, stream_keys
from rnnexp.train.choose_time_loop import (
    FallBacks,
    choose_time_loop,
    fused_precision,
    graphdef_with,
    largest_exponents,
)
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import Plan, make_plan
from tests.helpers.kernel_cells import config_with, use_kernel
from tests.helpers.variants import build as build_cell

SMALL = {
    "task.length_steps": 16,
    "cell.hidden_size": 5,
    "train.batch_size": 4,
    "train.duration_steps": 4,
    "eval.every_steps": 4,
    "eval.examples": 8,
    "eval.batch_size": 8,
    "checkpoint.every_steps": 4,
    "record.every_steps": 2,
}


def configured(name: str = "adding/gru", **changes: Any) -> FrozenConfigDict:
    config = experiment(name)
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    config.update_from_flattened_dict({**SMALL, **changes})
    return finish(config)


def planned(name: str = "adding/gru", **changes: Any) -> Plan:
    return make_plan(configured(name, **changes), data_dir=None, chunk_steps=4)


def test_a_contracting_network_is_offered_it_and_trains_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Values, recorded adjoints and what the run says of itself; in both directions of time."""
    both: dict[str, Any] = {"model__bidirectional": True}
    with caplog.at_level(logging.INFO, logger="rnnexp"):
        newton = run(configured(model__newton="full", **both), runs_dir=tmp_path)
    scan = run(configured(model__kernel="scan", **both), runs_dir=tmp_path)
    assert "all steps at once by Newton's iteration (full)" in caplog.text
    here = json.loads((newton.path / "environment.json").read_text())
    assert here["recurrence"] == "Newton's iteration (full)"
    units = ["layer_0_forward", "layer_0_backward"]
    assert list(here["largest_lyapunov_exponents"]) == units
    assert all(value < 0 for value in here["largest_lyapunov_exponents"].values())
    got, wanted = load_run(newton.path), load_run(scan.path)
    for row, other in zip(got.metrics, wanted.metrics, strict=True):
        for name, value in other.items():
            if isinstance(value, float) and name != "time":
                np.testing.assert_allclose(row[name], value, rtol=1e-3, err_msg=name)
    np.testing.assert_allclose(got.norms["h"], wanted.norms["h"], rtol=1e-3)
    steps = [row for row in got.metrics if row["kind"] == "train"]
    for row in steps:
        for unit in units:
            assert 2 <= row[f"newton_iterations/{unit}"] <= 10
            assert row[f"newton_fell_back/{unit}"] == 0
    assert not any(name.startswith("newton") for row in wanted.metrics for name in row)


def test_a_chaotic_network_is_not_offered_it_and_a_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chaotic = {"cell__recurrent_scale": 4.0, "cell__hidden_size": 16, "task__length_steps": 60}
    with caplog.at_level(logging.INFO, logger="rnnexp"):
        plan = planned("adding/rnn", model__newton="full", model__kernel="scan", **chaotic)
    (exponent,) = plan.newton.exponents.values()
    assert exponent > 0.1
    assert plan.recurrence == "scan"
    assert not plan.recipe.associative
    assert "config.model.newton='full' is not used, and steps are taken one after" in caplog.text
    assert f"layer_0 +{exponent:.3g} nats per step" in caplog.text


def test_it_is_off_unless_asked_for() -> None:
    plan = planned()
    assert plan.newton.exponents == {}
    assert not plan.recurrence.startswith("Newton")


def test_a_network_that_becomes_chaotic_goes_on_by_the_scan(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The choice was made for other weights; the numbers stay right, and the record says it."""
    usual = {"cell__hidden_size": 16, "task__length_steps": 60}
    plan = planned("adding/rnn", model__newton="full", **usual)
    assert plan.recurrence == "Newton's iteration (full)"
    chaotic = planned("adding/rnn", cell__recurrent_scale=4.0, **usual).params
    programs = Programs(plan)
    records = programs.advance(programs.initial()._replace(params=chaotic), 1, 1)[1]
    row = {name: float(values[0]) for name, values in records.scalars.items()} | {"step": 0}
    assert row["newton_fell_back/layer_0"] == 1
    assert np.isfinite(row["grad_norm"])
    with caplog.at_level(logging.WARNING, logger="rnnexp"):
        FallBacks().notice([row])
    assert "step 0: Newton's iteration did not converge in layer_0" in caplog.text


def test_fall_backs_are_told_at_the_first_and_at_every_doubling(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = FallBacks()
    with caplog.at_level(logging.WARNING, logger="rnnexp"):
        for step in range(20):
            failed = 1.0 if step % 2 else 0.0
            told.notice([{"step": step, "loss": 1.0, "newton_fell_back/layer_1": failed}])
    assert [record.args[0] for record in caplog.records] == [1, 3, 7, 15]  # type: ignore[index]
    assert "in layer_1" in caplog.text


def test_exponents_are_those_of_the_first_batch_of_the_run() -> None:
    config = configured(model__newton="full")
    plan = planned(model__newton="full")
    key = stream_keys(config.seed)["train"]
    batch = first_batch(plan.recipe.task.train, key, 4)
    drawn = plan.recipe.task.train.draw(jax.random.fold_in(key, 0), 4)  # type: ignore[union-attr]
    np.testing.assert_array_equal(batch.inputs_TxBxI, drawn.inputs_TxBxI)
    assert largest_exponents(plan.recipe.model(plan.params), batch) == plan.newton.exponents


def test_buckets_and_sequences_without_a_second_step() -> None:
    plan = planned(model__newton="full")

    def take(arrays: Any, indices_B: Any) -> Batch:
        x_BxTxI = arrays[indices_B]
        ones_B = jnp.ones(indices_B.shape, jnp.int32)
        return Batch(jnp.swapaxes(x_BxTxI, 0, 1), x_BxTxI[:, 0, :1], ones_B)

    arrays = jnp.ones((6, 3, 2))
    source = Bucketed((Bucket(arrays, 6, 3),), take)
    batch = first_batch(source, jax.random.key(0), 4)
    assert batch.inputs_TxBxI.shape == (3, 4, 2)
    exponents = largest_exponents(plan.recipe.model(plan.params), batch)
    assert np.isnan(exponents["layer_0"])


def test_the_offer_leaves_a_model_alone_that_does_not_ask() -> None:
    plan = planned()
    cell = plan.recipe.model(plan.params).units()[0].layer.cell
    choice = choose_time_loop(plan.config, cell)
    graphdef = graphdef_with(plan.recipe.graphdef, plan.params, choice.time_loop)
    got = graphdef, choice.newton
    assert got[0] is plan.recipe.graphdef
    assert got[1].method == ""


def test_a_processor_has_no_other_precision() -> None:
    lstm = build_cell(("lstm", {}), 2, 4)
    assert fused_precision(config_with()) == ""
    with pytest.raises(UsageError, match=r"config\.model\.precision 'tf32' is for graphics"):
        use_kernel(config_with(precision="tf32"), lstm)
    with pytest.raises(UsageError, match=r"Did you mean 'bf16'"):
        use_kernel(config_with(precision="bf17"), lstm)


def test_the_choice_on_a_graphics_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    compiled: list[tuple[str, int, str]] = []
    monkeypatch.setattr(tried, "_compile", lambda *given: compiled.append(given))
    tried.problem.cache_clear()
    lstm = build_cell(("lstm", {}), 2, 46)
    config = config_with(precision="bf16")
    assert use_kernel(config, lstm)
    assert compiled == [("lstm", 46, "bf16")]
    assert fused_precision(config) == "bf16"
    wide = build_cell(("lstm", {}), 2, 300)
    assert not use_kernel(config_with(), wide)
    with pytest.raises(UsageError, match=r"compiled.*300 hidden units \(padded to 512\)"):
        use_kernel(config_with(kernel="compiled"), wide)
    with pytest.raises(UsageError, match=r"'bf16' is for the fused kernels, but .*zoneout"):
        use_kernel(config_with(precision="bf16", zoneout=0.1), lstm)
    with pytest.raises(UsageError, match=r"'bf16' is for the fused kernels, but .*'scan'"):
        use_kernel(config_with(precision="bf16", kernel="scan"), lstm)
