"""The space of a sweep: what its texts mean, and the configurations of its points."""

import logging
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from rnnexp.config.overrides import from_command_line
from rnnexp.config.schema import experiment, flat
from rnnexp.core.errors import UsageError
from rnnexp.sweep.axes import parse_seeds
from rnnexp.sweep.space import (
    Point,
    expand,
    experiments,
    parse_space,
    point,
    read_base,
    suggestion_axes,
)
from rnnexp.sweep.values import drawn

RATE = "optimizer.learning_rate"


def points(
    *texts: str,
    name: str | None = "adding/rnn",
    given: tuple[str, ...] = (),
    seeds: str | None = None,
    draw_seed: int = 0,
) -> list[Point]:
    """The points of `--sweep` texts, with the base's arguments typed without `--config.`."""
    base = read_base(name, [f"--config{'' if '=' not in g else '.'}{g}" for g in given])
    return expand(parse_space(texts, seeds=seeds, draw_seed=draw_seed), base)


def values(found: list[Point], key: str) -> list[Any]:
    """The values of a key over the points' configurations."""
    return [flat(p.config)[key] for p in found]


def refusal(*texts: str, **keywords: Any) -> str:
    """What the refusal of a sweep says."""
    with pytest.raises(UsageError) as caught:
        points(*texts, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the library has logged."""
    return [r.getMessage() for r in caplog.records if r.name == "rnnexp"]


@pytest.fixture(autouse=True)
def _hear(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rnnexp")


def as_run(name: str, *given: str) -> Any:
    """The configuration of a single run with these overrides."""
    return from_command_line(name, [f"--config.{g}" for g in given])


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


def test_whole_numbers_stay_whole() -> None:
    sizes = values(points("cell.hidden_size=log:16..256:5"), "cell.hidden_size")
    assert sizes == [16, 32, 64, 128, 256]
    assert {type(size) for size in sizes} == {int}
    assert values(points("model.num_layers=linear:1..3:3"), "model.num_layers") == [1, 2, 3]
    assert "cell.hidden_size=log:16..256:4 has 40.3175 among" in refusal(
        "cell.hidden_size=log:16..256:4"
    )


def test_values_have_the_type_of_their_key() -> None:
    found = points(f"{RATE}=1,2", "optimizer.name=adam,sgd", "model.residual=true,False")
    assert {type(v) for v in values(found, RATE)} == {float}
    assert set(values(found, "optimizer.name")) == {"adam", "sgd"}
    assert set(values(found, "model.residual")) == {True, False}


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


def draws(text: str, kind: type, count: int = 2000) -> list[Any]:
    """Values of one axis from uniform draws."""
    (axis,) = parse_space([text]).axes
    return [drawn(axis, kind, share) for share in np.random.default_rng(1).random(count)]


def test_draws_have_the_distribution_of_their_axis() -> None:
    shares = [
        (np.log10(draws(f"{RATE}=log:1e-5..1e-1", float)) + 5) / 4,
        np.array(draws("model.dropout=linear:0..0.5", float)) / 0.5,
    ]
    for share in shares:
        assert share.min() >= 0
        assert share.max() <= 1
        # Kolmogorov-Smirnov: a larger distance has a probability of 1e-6
        distance = np.abs(np.sort(share) - (np.arange(2000) + 0.5) / 2000).max()
        assert distance < np.sqrt(np.log(2e6) / 2 / 2000)


@pytest.mark.parametrize(
    ("text", "kind", "probabilities"),
    [
        ("optimizer.name=sgd,adam", str, {"sgd": 0.5, "adam": 0.5}),
        ("cell.hidden_size=linear:1..4", int, dict.fromkeys((1, 2, 3, 4), 0.25)),
        (
            "model.num_layers=log:1..8",
            int,
            {n: np.log((n + 0.5) / (n - 0.5)) / np.log(17) for n in range(1, 9)},
        ),
    ],
)
def test_draws_of_separate_values_have_their_probabilities(
    text: str, kind: type, probabilities: dict[Any, float]
) -> None:
    counts = Counter(draws(text, kind))
    assert set(counts) == set(probabilities)
    for value, p in probabilities.items():
        assert abs(counts[value] / 2000 - p) < 5 * np.sqrt(p * (1 - p) / 2000)


def test_a_zip_is_drawn_as_one() -> None:
    found = points(f"zip:{RATE}=1,2,3;clip.threshold=10,20,30", "random:50")
    assert set(values(found, RATE)) == {1.0, 2.0, 3.0}
    assert all(p.config.clip.threshold == 10 * p.changes[RATE] for p in found)


def test_a_key_multiplies_only_the_experiments_that_have_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = points("cell=rnn,lstm,gru", "cell.forget_bias=0,1,2", seeds="2")
    assert Counter(p.config.cell.name for p in found) == {"rnn": 2, "lstm": 6, "gru": 2}
    assert all(("cell.forget_bias" in p.changes) == (p.config.cell.name == "lstm") for p in found)
    assert logged(caplog) == ["config.cell.forget_bias is no key of rnn, gru: not swept there"]


def test_a_zip_is_shortened_where_one_of_its_keys_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = points("cell=rnn,lstm", "zip:cell.forget_bias=0,1,2;train.batch_size=8,8,16")
    assert [p.changes["train.batch_size"] for p in found] == [8, 16, 8, 8, 16]
    assert logged(caplog) == ["config.cell.forget_bias is no key of rnn: not swept there"]


def test_what_the_base_sets_holds_where_the_key_exists(caplog: pytest.LogCaptureFixture) -> None:
    found = points("cell=rnn,lstm", given=("cell.forget_bias=3", "cell.hidden_size=8"))
    assert values(found, "cell.hidden_size") == [8, 8]
    assert found[1].config.cell.forget_bias == 3
    assert logged(caplog) == ["config.cell.forget_bias is no key of rnn: 3 is not used there"]


def test_a_task_keeps_its_own_defaults_but_for_what_the_base_sets() -> None:
    sweep = "task=char_lm,adding,digits"
    kept = points(sweep, name="char_lm/rnn")
    for p in kept:
        assert p.config == as_run(f"{p.config.task.name}/rnn")
    given = points(sweep, name="char_lm/rnn", given=(f"{RATE}=0.002",))
    assert flat(experiment("char_lm/rnn"))[RATE] == 0.002
    assert values(given, RATE) == [0.002] * 3


def test_pairs_that_do_not_fit_are_left_out_by_name(caplog: pytest.LogCaptureFixture) -> None:
    found = points("cell=rnn,narx", "task=adding,sort", name=None)
    names = [f"{p.config.task.name}/{p.config.cell.name}" for p in found]
    assert names == ["adding/rnn", "sort/rnn", "adding/narx"]
    (line,) = logged(caplog)
    assert "cell 'narx' does not fit task 'sort': the task is asynchronous" in line
    assert "cell 'narx' does not fit task 'sort'" in refusal("cell=narx", name="sort/rnn")


def test_equal_points_run_once(caplog: pytest.LogCaptureFixture) -> None:
    assert values(points(f"{RATE}=0.1,1e-1,0.2", seeds="2"), RATE) == [0.1, 0.1, 0.2, 0.2]
    assert logged(caplog) == [
        "2 of the sweep's 6 points have the configuration of another one; that is run once"
    ]


def test_a_name_may_lack_what_is_swept() -> None:
    for name in ("adding", "adding/", None):
        texts = ["cell=rnn,gru"] + ["task=adding"] * (name is None)
        assert [p.config for p in points(*texts, name=name)] == [
            as_run("adding/rnn"), as_run("adding/gru"),
        ]  # fmt: skip


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
