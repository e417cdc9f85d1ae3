"""The axes of a sweep: what `--sweep` and `--seeds` may say, and how the rest is refused."""

import numpy as np
import pytest

from rnnexp.sweep.axes import parse_seeds
from tests.helpers.sweep_points import RATE, points, refusal, values


def test_seeds_are_counted_from_the_base_or_listed() -> None:
    assert values(points(seeds="5"), "seed") == [0, 1, 2, 3, 4]
    assert values(points(seeds="3", given=("seed=7",)), "seed") == [7, 8, 9]
    assert values(points(seeds="3,7,11"), "seed") == [3, 7, 11]
    assert values(points(seeds="7,"), "seed") == [7]
    assert parse_seeds(None) == 1


def test_a_log_axis_has_exact_ends_and_even_logarithms() -> None:
    assert values(points(f"{RATE}=log:1e-5..1e-1:5"), RATE) == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    got = values(points(f"{RATE}=log:3.7e-7..0.123456789012345678:10"), RATE)
    assert got[0] == 3.7e-7
    assert got[-1] == 0.123456789012345678
    np.testing.assert_allclose(got, np.geomspace(got[0], got[-1], 10), rtol=1e-11)
    assert {type(value) for value in got} == {float}


def test_a_linear_axis_has_even_steps_of_short_numbers() -> None:
    assert values(points("model.dropout=linear:0..0.6:7"), "model.dropout") == [
        0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6,
    ]  # fmt: skip
    assert points("cell.recurrent_scale=linear:-1..-0.5:3")[1].changes["cell.recurrent_scale"] < 0


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["cell.forget_bais=1", "cell=rnn,lstm"], "Did you mean 'config.cell.forget_bias'?"),
        (["cell.forget_bias=1"], "unknown configuration key 'config.cell.forget_bias'"),
        (["optimizer=1"], "unknown configuration key 'config.optimizer'"),
        (["cell=rnn,lstmm"], "unknown cell 'lstmm'. Did you mean 'lstm'?"),
        (["task=addin"], "unknown task 'addin'. Did you mean 'adding'?"),
        (["cell=log:1..2:2"], "cell.name takes names; write a list"),
        (["train.batch_size=8,1.5"], "config.train.batch_size takes a whole number, not '1.5'"),
        ([f"{RATE}=fast"], f"config.{RATE} takes a number, not 'fast'"),
        (["model.residual=yes"], "config.model.residual takes true or false, not 'yes'"),
        (["optimizer.name=log:1..2:2"], "config.optimizer.name takes text; write a list"),
        ([f"{RATE}=1,-1"], f"point {RATE}=-1.0, seed=0 of the sweep: config.{RATE} must be"),
        ([f"{RATE}=nan"], f"config.{RATE} must be"),
        ([f"{RATE}=log:1e-5..1e-1"], f"append :COUNT for so many values of it, such as {RATE}=log"),
        ([f"{RATE}=log:1e-5..1e-1"], "or add --sweep random:N"),
        ([f"{RATE}=log:1e-5"], f"write {RATE}=log:LOW..HIGH:COUNT"),
        ([f"{RATE}=lg:1e-5..1e-1"], "'lg'. Did you mean 'log'?"),
        ([f"{RATE}=log:0..1:3"], "a log axis needs a positive LOW"),
        ([f"{RATE}=log:1..1:3"], "LOW must be less than HIGH"),
        ([f"{RATE}=linear:0..inf:3"], "both finite"),
        ([f"{RATE}=linear:a..b:3"], "LOW and HIGH must be numbers"),
        ([f"{RATE}=linear:0..1:1"], "COUNT must be at least 2"),
        ([f"{RATE}=linear:0..1:x"], "COUNT must be a whole number, not 'x'"),
        ([f"{RATE}=linear:1..1.000000000001:5"], "some are equal"),
        (["cell.hidden_size=linear:1..2.5", "random:3"], "has the end 2.5"),
        ([RATE], "is of no known form; write KEY=VALUE,VALUE"),
        ([f"{RATE}=1,,2"], "a value of the list is empty"),
        ([f"{RATE}="], "a value of the list is empty"),
        ([f"{RATE}=1", f"{RATE}=2"], f"{RATE} is swept twice"),
        (["seed=1,2"], "use --seeds 5 or --seeds 3,7,11"),
        ([f"zip:{RATE}=1,2;clip.threshold=1,2,3"], f"{RATE} has 2 values and clip.threshold 3"),
        ([f"zip:{RATE}=log:1..2;clip.threshold=1,2"], "needs a number of values: append :COUNT"),
        (["random"], "N of random:N must be a whole number, not ''"),
        (["random:0"], "random:N needs at least one point"),
        (["random:2", "random:3"], "random:N is given twice"),
        (["train.duration_steps=1", "train.duration_epochs=1"], "exactly one of"),
    ],
)  # fmt: skip
def test_a_wrong_sweep_is_refused_in_one_line(texts: list[str], words: str) -> None:
    assert words in refusal(*texts)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [("0", "at least one seed"), ("x", "whole number, not 'x'"), ("1,-2", "one is -2")],
)
def test_wrong_seeds_are_refused(seeds: str, words: str) -> None:
    assert words in refusal(seeds=seeds)
