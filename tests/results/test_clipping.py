"""What clipping did to the gradients of a run, as lines and as data."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rnnexp.results.clipping import audit, clip_data, clip_lines
from rnnexp.results.load import load_run
from tests.helpers.logged_runs import rewritten_run, write_logged_run


@pytest.fixture
def rewritten(tmp_path: Path) -> Any:
    """Writes a run whose clipping and logged figures are those given."""
    return partial(rewritten_run, tmp_path)


def test_a_threshold_that_never_acts_and_one_that_always_does(rewritten: Any) -> None:
    before = [2.0, 12.0, 22.0, 32.0]
    run = rewritten("global_norm", 100.0, grad_norm_clipped=before, clip_fired=[False] * 4)
    assert clip_lines(run)[1].startswith("clipping is a no-op: threshold 100 is above every norm")
    run = rewritten("value", 0.1, clip_fired=[True] * 4, clip_cosine=[1.0, 0.9, 0.25, 1.0])
    assert clip_lines(run)[1].startswith("clipping fires on nearly every step (100 %)")
    assert clip_lines(run)[1].endswith("as low as 0.25")


def test_no_clipping_and_steps_that_are_not_finite(rewritten: Any) -> None:
    before = [2.0, 4.0, "NaN", 6.0]
    figures = {"grad_norm_clipped": before, "clip_fired": [False] * 4}
    (first, second) = clip_lines(rewritten("none", 1.0, grad_norm=before, **figures))
    assert first == "gradient norm at 3 recorded steps: median 4, largest 6; not clipped"
    assert second == "1 step with a norm that is not finite left out"
    nothing = rewritten("none", 1.0, grad_norm=["NaN"] * 4, **figures)
    assert "nothing to audit" in clip_lines(nothing)[0]
    assert (clip_data(nothing) or {})["steps"] == 0


def test_a_run_without_recorded_steps_has_no_audit(tmp_path: Path) -> None:
    run = load_run(write_logged_run(tmp_path / "runs", steps=(0,)))
    run.metrics[:] = [row for row in run.metrics if row["kind"] != "train"]
    assert (audit(run), clip_lines(run), clip_data(run)) == (None, [], None)


def test_where_the_update_is_clipped_the_norms_are_the_update_s(rewritten: Any) -> None:
    figures = {
        "update_norm": [2.0, 4.0, 6.0, 0.5], "update_norm_clipped": [1.0, 1.0, 1.0, 0.5],
        "clip_fired": [True, True, True, False], "clip_cosine": [1.0] * 4,
    }  # fmt: skip
    first, second = clip_lines(rewritten("update_norm", 1.0, **figures))
    assert first.startswith("update norm at 4 recorded steps: median 3, largest 6; clipped by")
    assert first.endswith("update_norm at 1: median 1")
    assert second == (
        "clipping fires on 75 % of the steps and shortens the update by a factor of up to 6; "
        "the direction is kept"
    )
