"""Two runs and more side by side: every figure is one that the runs have logged."""

import math
from pathlib import Path

import pytest

from rnnexp.results.load import load_run
from rnnexp.results.side_by_side import differences, labels, profiles, tables
from rnnexp.run.about import About, write_about
from tests.helpers.logged_runs import logged
from tests.helpers.synthetic_runs import write_run

RATE = "optimizer.learning_rate"


def test_readings_are_the_first_and_the_last_profile_at_four_lags(tmp_path: Path) -> None:
    slopes = {"layer_0_forward": [-0.3, 0.5, -0.01], "layer_0_backward": [0.2, 0.2, 0.1]}
    (run,) = logged(tmp_path, ("adding/lstm", {}), slopes=slopes, times=101, steps=[0, 7, 50])
    found = profiles([run])
    assert list(found) == [("h", "layer_0_forward"), ("h", "layer_0_backward")]
    for (_, unit), ((first, last),) in found.items():
        for reading, step, slope in ((first, 0, slopes[unit][0]), (last, 50, slopes[unit][2])):
            assert (reading.step, reading.steps_T, reading.zero_lags) == (step, 101, 0)
            assert reading.slope == pytest.approx(slope)
            half_life = math.log(2) / -slope if slope < 0 else math.inf
            assert reading.half_life == pytest.approx(half_life)
            assert reading.fit == pytest.approx(1.0, abs=1e-6)
            norms = {name: math.exp(slope * lag) for name, lag in LAGS.items()}
            assert reading.norms == pytest.approx(norms, rel=1e-5)


LAGS = {"0": 0, "T/4": 25, "T/2": 50, "T-1": 100}


def test_norms_that_are_exactly_zero_are_counted(tmp_path: Path) -> None:
    (run,) = logged(tmp_path, ("adding/lstm", {}))
    run.norms["h"][-1, 0, :6] = 0
    ((first, last),) = profiles([run])["h", "layer_0"]
    assert (first.zero_lags, last.zero_lags, last.norms["T-1"]) == (0, 6, 0)


def test_runs_of_unlike_layers_leaves_and_lengths_stand_side_by_side(tmp_path: Path) -> None:
    (deep,) = logged(tmp_path, ("adding/gru", {}), slopes={f"layer_{n}": [0.1] * 4 for n in (0, 1)})
    (flat,) = logged(tmp_path, ("adding/lstm", {}), times=7)
    (bare,) = [load_run(tmp_path / write_run(tmp_path, "adding/rnn", status="failed"))]
    flat.norms["c"] = flat.norms["h"]
    found = profiles([deep, flat, bare])
    counts = {place: [len(ends) for ends in runs] for place, runs in found.items()}
    assert counts == {
        ("h", "layer_0"): [2, 2, 0], ("h", "layer_1"): [2, 0, 0],
        ("c", "layer_0"): [0, 2, 0],
    }  # fmt: skip
    shown = tables([deep, flat, bare])
    assert [len(rows) for _, rows in shown[:-1]] == [3, 4, 2, 2]
    outcomes = shown[0][1]
    assert [row["run"] for row in outcomes] == ["gru", "lstm", "rnn"]
    assert [row["status"] for row in outcomes] == ["completed", "completed", "failed"]
    assert [row["test_loss"] for row in outcomes] == [0.25, 0.25, "-"]
    assert [row["baseline_loss"] for row in outcomes] == [1 / 6, 1 / 6, "-"]
    assert [row["best valid"] for row in outcomes] == ["loss 0.2", "loss 0.2", "-"]
    for _, rows in shown:
        assert len({tuple(row) for row in rows}) == 1


def test_labels_are_short_and_tell_every_run_from_the_others(tmp_path: Path) -> None:
    runs = logged(
        tmp_path, ("adding/lstm", {RATE: 0.1}), ("adding/lstm", {RATE: 0.01}), ("adding/gru", {})
    )
    assert labels(runs[:2]) == ["lstm  learning_rate=0.1", "lstm  learning_rate=0.01"]
    assert labels(runs[1:]) == ["lstm", "gru"]
    assert labels(runs[:1]) == ["lstm"]
    assert labels([runs[0], runs[0]]) == [f"lstm  seed=0  ({number})" for number in (1, 2)]
    seeds = logged(tmp_path, *[("adding/rnn", {"seed": seed}) for seed in (3, 4)])
    assert labels(seeds) == ["rnn  seed=3", "rnn  seed=4"]
    long = logged(tmp_path, *[("adding/rnn", {"task.length_steps": n * "9"}) for n in (60, 61)])
    assert labels(long) == [run.path.name for run in long]
    write_about(long[1].path, About("the longer"))
    assert labels(long) == [long[0].path.name, "the longer"]


def test_what_differs_is_told_with_every_run_s_value(tmp_path: Path) -> None:
    runs = logged(
        tmp_path,
        ("adding/lstm", {RATE: 0.1, "seed": 1}),
        ("adding/lstm", {RATE: 0.2, "cell.forget_bias": 0.0}),
        ("adding/gru", {RATE: 0.1}),
    )
    assert differences(runs[:2]) == {
        "cell.forget_bias": [1.0, 0.0], RATE: [0.1, 0.2], "seed": [1, 0],
    }  # fmt: skip
    found = differences(runs)
    assert found["cell.name"] == ["lstm", "lstm", "gru"]
    assert found["cell.forget_bias"] == [1.0, 0.0, None]
    assert "task.name" not in found
    assert [title for title, _ in tables([runs[0]])][-1] != "what differs in the configuration"
