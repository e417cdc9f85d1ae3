"""The laboratory at a run: the same numbers at every step, and too little memory for them."""

from pathlib import Path

import pytest
import xarray

from rnnexp.core.errors import UsageError
from rnnexp.results.load import load_run
from rnnexp.run.callbacks import run_path
from rnnexp.run.measure import examiner_of
from rnnexp.run.run import run
from rnnexp.train.plan import make_plan
from tests.helpers.laboratory_runs import config_of


def test_the_same_state_measures_the_same_at_every_step() -> None:
    plan = make_plan(config_of(), data_dir=None, chunk_steps=1)
    examiner = examiner_of(plan)()
    first, second = (examiner.measure(plan, plan.params, step) for step in (0, 7))
    assert list(second["step"].values) == [7]
    xarray.testing.assert_identical(first, second.assign_coords(step=first["step"]))


def test_too_little_memory_in_training_is_bad_input(tmp_path: Path) -> None:
    config = config_of(laboratory__memory_gib=1e-6)
    with pytest.raises(UsageError, match=r"laboratory\.memory_gib = 1e-06"):
        run(config, runs_dir=tmp_path)
    assert load_run(run_path(config, tmp_path)).status["status"] == "failed"
