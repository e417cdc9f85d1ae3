"""The space of a sweep: the configurations of its points."""

import subprocess
import sys
from collections import Counter

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.sweep.space import (
    Point,
    expand,
    experiments,
    parse_space,
    point,
    read_base,
    suggestion_axes,
)
from tests.helpers.sweep_points import RATE, as_run, hear, logged, points, values

_hear = pytest.fixture(autouse=True)(hear)


def test_a_grid_is_every_combination_once_seeds_innermost() -> None:
    found = points(f"{RATE}=1e-3,1e-2", "train.batch_size=8,16,32", seeds="2")
    expected = [(r, b, s) for r in (1e-3, 1e-2) for b in (8, 16, 32) for s in (0, 1)]
    assert [tuple(p.changes.values()) for p in found] == expected
    assert list(found[0].changes) == [RATE, "train.batch_size", "seed"]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_point_is_the_configuration_of_the_single_run(cell: str) -> None:
    given = ("task.length_steps=30", "train.duration_epochs=2")
    found = points("cell=rnn,lstm,gru", f"{RATE}=0.5", "eval.every_examples=9", given=given)
    (config,) = [p.config for p in found if p.config.cell.name == cell]
    assert config == as_run(f"adding/{cell}", *given, f"{RATE}=0.5", "eval.every_examples=9")
    assert config.train.duration_steps is None
    assert config.eval.every_steps is None


def test_a_sweep_of_nothing_is_the_base_itself() -> None:
    (found,) = points(given=("seed=4",))
    assert found == Point(as_run("adding/rnn", "seed=4"), {"seed": 4})


def test_points_share_no_values() -> None:
    found = points("zip:train.duration_epochs=1,2;eval.every_epochs=3,4", seeds="2")
    assert values(found, "train.duration_epochs") == [1, 1, 2, 2]
    assert values(found, "eval.every_epochs") == [3, 3, 4, 4]
    assert values(points(), "train.duration_epochs") == [None]


def test_zipped_axes_go_together() -> None:
    found = points(f"zip:{RATE}=1e-3,1e-2;clip.threshold=linear:1..2:2", "train.batch_size=4,8")
    pairs = list(zip(values(found, RATE), values(found, "clip.threshold"), strict=True))
    assert pairs == [(1e-3, 1.0), (1e-3, 1.0), (1e-2, 2.0), (1e-2, 2.0)]
    cells = points("zip:cell=rnn,lstm;cell.hidden_size=64,32;cell.forget_bias=0,2")
    assert [p.changes for p in cells] == [
        {"cell.name": "rnn", "cell.hidden_size": 64, "seed": 0},
        {"cell.name": "lstm", "cell.hidden_size": 32, "cell.forget_bias": 2.0, "seed": 0},
    ]


def test_draws_are_reproducible_and_more_of_them_go_on_from_the_fewer() -> None:
    texts = (f"{RATE}=log:1e-5..1e-1", "train.batch_size=8,16,32")
    ten, again = points(*texts, "random:10"), points(*texts, "random:10")
    assert ten == again
    assert points(*texts, "random:20")[:10] == ten
    assert points(*texts, "random:10", draw_seed=1) != ten
    assert len(ten) == 10


def test_every_experiment_and_seed_gets_the_same_draws() -> None:
    found = points("cell=rnn,gru", f"{RATE}=log:1e-5..1e-1", "random:6", seeds="2")
    assert len(found) == 2 * 6 * 2
    drawn = [[p.changes[RATE] for p in found if p.config.cell.name == c] for c in ("rnn", "gru")]
    assert drawn[0] == drawn[1]
    assert Counter(drawn[0]) == dict.fromkeys(drawn[0], 2)


def test_a_zip_is_drawn_as_one() -> None:
    found = points(f"zip:{RATE}=1,2,3;clip.threshold=10,20,30", "random:50")
    assert set(values(found, RATE)) == {1.0, 2.0, 3.0}
    assert all(p.config.clip.threshold == 10 * p.changes[RATE] for p in found)


def test_equal_points_run_once(caplog: pytest.LogCaptureFixture) -> None:
    assert values(points(f"{RATE}=0.1,1e-1,0.2", seeds="2"), RATE) == [0.1, 0.1, 0.2, 0.2]
    assert logged(caplog) == [
        "2 of the sweep's 6 points have the configuration of another one; that is run once"
    ]


def test_a_search_sees_every_axis_with_its_type() -> None:
    texts = [
        "cell=rnn,lstm", f"{RATE}=log:1e-5..1e-1", "cell.hidden_size=linear:8..64",
        "zip:train.batch_size=8,16;clip.threshold=1,2", "cell.forget_bias=linear:0..1:3",
    ]  # fmt: skip
    got = suggestion_axes(parse_space(texts), read_base("adding"))
    cell, rate, size, both, bias = got
    assert cell.choices == (("rnn",), ("lstm",))
    assert (rate.choices, rate.scale, rate.low, rate.high) == (None, "log", 1e-5, 1e-1)
    assert (size.low, size.high, size.integer) == (8, 64, True)
    assert not rate.integer
    assert both.keys == ("train.batch_size", "clip.threshold")
    assert both.choices == ((8, 1.0), (16, 2.0))
    assert bias.choices == ((0.0,), (0.5,), (1.0,))
    with pytest.raises(UsageError, match="takes text"):
        suggestion_axes(parse_space(["optimizer.name=log:1..2"]), read_base("adding/rnn"))


def test_chosen_values_make_the_point_that_the_grid_makes() -> None:
    space, base = parse_space(["cell=rnn,lstm", "cell.forget_bias=0,2"]), read_base("adding")
    grid = expand(space, base)
    assert [point(space, base, p.changes) for p in grid] == grid
    chosen = point(space, base, {"cell.name": "rnn", "cell.forget_bias": 2.0, "seed": 9})
    assert chosen == Point(as_run("adding/rnn", "seed=9"), {"cell.name": "rnn", "seed": 9})
    with pytest.raises(UsageError, match=r"cell\.bias is no axis of the sweep"):
        point(space, base, {"cell.name": "rnn", "cell.bias": 2.0})
    assert experiments(space, base) == [{"cell.name": "rnn"}, {"cell.name": "lstm"}]


def test_wrong_names_are_answered_before_jax_is_imported() -> None:
    code = (
        "import sys\nfrom rnnexp.sweep.space import expand, parse_space, read_base\n"
        "try: expand(parse_space(['cell=rnn,lstmm']), read_base('adding'))\n"
        "except ValueError as error: print(error, 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Did you mean 'lstm'?" in done.stdout
    assert done.stdout.strip().endswith("False")
