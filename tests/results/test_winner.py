"""Which group wins: known differences, pairs of seeds, the order, and how often it is wrong."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from rnnexp.results.compare import compare
from rnnexp.results.index import load_records, read_index
from rnnexp.results.winner import (
    BETTER,
    FIRST,
    OPEN,
    UNKNOWN,
    WORSE,
    Answer,
    answers,
    difference,
)
from tests.helpers.report_runs import BASELINE, write_whole_run
from tests.helpers.synthetic_runs import protocol_runs, write_plan, write_run

RATE = "optimizer.learning_rate"


def write_seeds(
    root: Path,
    experiment: str,
    losses: Sequence[float],
    *,
    valid: float,
    first: int = 0,
    name: str = "loss",
    higher: bool = False,
) -> None:
    """A run a seed, with these test scores and one validation score."""
    for seed, loss in enumerate(losses, first):
        write_run(
            root, experiment, {"seed": seed}, test={name: loss}, valid=valid, headline=name,
            higher_is_better=higher,
        )  # fmt: skip


def only(root: Path) -> Answer:
    """The answer about the runs of a single task."""
    (answer,) = answers(read_index(root))
    return answer


def relations(answer: Answer) -> dict[str, str]:
    return {one.name: one.relation for one in answer.contenders}


def test_paired_differences_are_those_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    luck = rng.normal(0, 1, 5)  # of a seed, which both groups share
    one = dict(enumerate(luck + rng.normal(0, 0.01, 5)))
    two = dict(enumerate(luck + 0.1 + rng.normal(0, 0.01, 5)))
    expected = stats.ttest_rel(list(two.values()), list(one.values())).confidence_interval(0.95)
    found = difference(one, dict(reversed(two.items())))
    assert found.low is not None
    assert found.high is not None
    np.testing.assert_allclose((found.low, found.high), (expected.low, expected.high), rtol=1e-9)
    assert found.pairs == 5
    assert found.low > 0  # seed by seed the difference is plain
    apart = difference(list(one.values()), list(two.values()))
    welch = stats.ttest_ind(list(two.values()), list(one.values()), equal_var=False)
    ends = welch.confidence_interval(0.95)
    np.testing.assert_allclose((apart.low or 0, apart.high or 0), (ends.low, ends.high), rtol=1e-9)
    assert apart.pairs == 0
    assert (apart.low or 0) < 0 < (apart.high or 0)


def test_groups_are_paired_over_the_seeds_that_both_have() -> None:
    one = {0: 1.0, 1: 2.0, 2: 4.0, 3: 9.0}
    two = {1: 3.0, 2: 6.0, 3: 10.0, 7: 100.0}
    found = difference(one, two)
    assert found.pairs == 3
    assert found.mean == pytest.approx((1 + 2 + 1) / 3)
    few = difference(one, {3: 3.0, 10: 6.0, 11: 10.0, 12: 100.0})  # one seed is no pairing
    assert few.pairs == 0
    assert few.mean == pytest.approx(119 / 4 - 4)


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        ({0: 1.0}, {0: 2.0, 1: 2.1}, "one seed"),
        ({0: 1.0, 1: 1.1}, {1: 2.0}, "one seed"),
        ({0: 1.0, 1: math.nan}, {0: 2.0, 1: 2.1}, "not finite"),
        ({0: 0.0, 1: 0.0}, {0: 1.0, 1: 1.0}, "all differences equal"),
        ({0: 0.3, 1: 0.7}, {0: 0.1, 1: 0.5}, "all differences equal"),  # -0.2 but for rounding
        ({0: 1.0}, {}, "no value"),
    ],
)
def test_what_has_no_interval_says_why(
    one: dict[int, float], two: dict[int, float], why: str
) -> None:
    found = difference(one, two)
    assert (found.low, found.high, found.why) == (None, None, why)


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_the_truly_best_is_missed_in_at_most_five_of_a_hundred_experiments(
    correlation: float,
) -> None:
    """Five groups of four seeds, of which one is a little better; the first is the luckiest."""
    rng, missed, named, turns = np.random.default_rng(1), 0, 0, 500
    groups, level = 5, 1 - 0.05 / 4
    for _ in range(turns):
        luck_S = rng.normal(size=4)
        noise_GxS = rng.normal(size=(groups, 4))
        scores_GxS = math.sqrt(correlation) * luck_S + math.sqrt(1 - correlation) * noise_GxS
        scores_GxS[0] -= 0.01
        order = np.argsort(scores_GxS.mean(1))
        by_seed = [dict(enumerate(map(float, row))) for row in scores_GxS]
        found = [difference(by_seed[order[0]], by_seed[g], level) for g in order[1:]]
        worse = [apart.low is not None and apart.low > 0 for apart in found]
        missed += any(out and g == 0 for out, g in zip(worse, order[1:], strict=True))
        named += all(worse)
    assert missed / turns <= 0.05
    assert named / turns <= 0.05


def test_a_winner_beats_every_other_group(tmp_path: Path) -> None:
    write_seeds(tmp_path, "adding/gru", (0.010, 0.012, 0.011), valid=0.01)
    write_seeds(tmp_path, "adding/lstm", (0.110, 0.113, 0.109), valid=0.1)
    write_seeds(tmp_path, "adding/rnn", (0.510, 0.512, 0.515), valid=0.5)
    answer = only(tmp_path)
    assert relations(answer) == {"gru": FIRST, "lstm": WORSE, "rnn": WORSE}
    assert (answer.task, answer.metric, answer.higher) == ("adding", "test_loss", False)
    assert answer.level == pytest.approx(0.975)
    apart = answer.contenders[1].difference
    assert apart is not None
    values = np.array([0.1, 0.101, 0.098])
    expected = stats.t.interval(0.975, 2, values.mean(), stats.sem(values))
    np.testing.assert_allclose((apart.low or 0, apart.high or 0), expected, rtol=1e-9)
    rows = {
        row["group"]["cell"]: row for row in compare(read_index(tmp_path), ["cell"], "test_loss")
    }
    assert [one.row for one in answer.contenders] == [rows["gru"], rows["lstm"], rows["rnn"]]


def test_the_order_is_that_of_validation_and_the_test_may_contradict_it(tmp_path: Path) -> None:
    write_seeds(tmp_path, "adding/gru", (0.50, 0.51, 0.52), valid=0.01)
    write_seeds(tmp_path, "adding/lstm", (0.10, 0.12, 0.11), valid=0.1)
    write_seeds(tmp_path, "adding/rnn", (0.40, 0.50, 0.60), valid=0.2)
    assert relations(only(tmp_path)) == {"gru": FIRST, "lstm": BETTER, "rnn": OPEN}


def test_of_higher_scores_the_highest_is_first(tmp_path: Path) -> None:
    for cell, level in (("gru", 0.9), ("lstm", 0.5)):
        scores = [level, level + 0.01, level - 0.02 * level]
        write_seeds(tmp_path, f"adding/{cell}", scores, valid=level, name="accuracy", higher=True)
    answer = only(tmp_path)
    assert answer.higher
    assert [*relations(answer).items()] == [("gru", FIRST), ("lstm", WORSE)]


def test_a_group_with_a_lost_seed_comes_after_the_others(tmp_path: Path) -> None:
    write_seeds(tmp_path, "adding/gru", (0.010, 0.012), valid=0.01)
    write_run(tmp_path, "adding/gru", {"seed": 2}, status="diverged", valid=0.01)
    write_seeds(tmp_path, "adding/lstm", (0.50, 0.51, 0.52), valid=0.5)
    write_run(tmp_path, "adding/rnn", {"seed": 0}, status="diverged", valid=0.01)
    answer = only(tmp_path)
    assert [*relations(answer)] == ["lstm", "gru", "rnn"]
    assert answer.contenders[2].relation == ""
    assert answer.contenders[2].difference is None
    assert answer.counts == {"completed": 5, "diverged": 2}
    assert answer.level == 0.95  # rnn is not compared


def test_single_seeds_have_an_order_and_nothing_more(tmp_path: Path) -> None:
    for place, cell in enumerate(("gru", "lstm")):
        write_seeds(tmp_path, f"adding/{cell}", [0.1 + place], valid=place)
    assert relations(only(tmp_path)) == {"gru": FIRST, "lstm": UNKNOWN}


def test_a_cell_stands_for_its_setting_that_validation_chooses(tmp_path: Path) -> None:
    protocol_runs(tmp_path)  # of lstm; a setting with better test scores is not chosen
    write_seeds(tmp_path, "adding/gru", (0.50, 0.50, 0.51), valid=0.05)
    answer = only(tmp_path)
    assert relations(answer) == {"gru": FIRST, "lstm": BETTER}
    best = answer.contenders[1].row["best_setting"]
    assert best["setting"] == {RATE: 1e-3}
    apart = answer.contenders[1].difference
    assert apart is not None
    assert apart.mean == pytest.approx(0.31 - 1.51 / 3)


def test_of_a_single_cell_the_settings_are_compared(tmp_path: Path) -> None:
    protocol_runs(tmp_path)
    answer = only(tmp_path)
    names = [one.name for one in answer.contenders]
    assert names == ["learning_rate=0.001", "learning_rate=0.01", "learning_rate=0.1"]
    assert [one.relation for one in answer.contenders] == [
        FIRST,
        UNKNOWN,
        WORSE,
    ]  # 0.2 less with every seed


def test_a_task_with_another_option_is_another_task(tmp_path: Path) -> None:
    for delay in (10, 200):  # a cell each: grouped by cell, no group would be mixed
        cell = "gru" if delay == 10 else "lstm"
        write_run(tmp_path, f"copy_memory/{cell}", {"task.delay_steps": delay}, valid=0.1,
                  test={"loss": 0.1})  # fmt: skip
    write_run(tmp_path, "adding/gru", valid=0.1, test={"accuracy": 0.5}, headline="accuracy",
              higher_is_better=True)  # fmt: skip
    found = {answer.task: answer for answer in answers(read_index(tmp_path))}
    assert set(found) == {"adding", "copy_memory delay_steps=10", "copy_memory delay_steps=200"}
    assert found["adding"].metric == "test_accuracy"
    assert relations(found["copy_memory delay_steps=200"]) == {"lstm": FIRST}


def test_runs_that_have_no_score_are_counted_and_damaged_ones_left_out(tmp_path: Path) -> None:
    sweep = tmp_path / "sweeps" / "one"
    changes = [{"seed": seed} for seed in range(4)]
    write_plan(sweep, [("adding/lstm", change) for change in changes])
    write_run(tmp_path, "adding/lstm", changes[0], test={"loss": 0.5}, valid=0.5)
    write_run(tmp_path, "adding/lstm", changes[1], status="failed")
    damaged = write_run(tmp_path, "adding/lstm", changes[2], test={"loss": 0.5}, valid=0.5)
    (tmp_path / damaged / "status.json").write_text("{")
    (answer,) = answers(load_records(sweep))
    assert answer.counts == {"completed": 1, "failed": 1, "waiting": 1}


def test_where_nothing_can_be_compared_it_says_why(tmp_path: Path) -> None:
    write_run(tmp_path, "adding/lstm", status="diverged", valid=1.0)
    write_run(tmp_path, "parity/lstm", valid=1.0, test={"loss": 1.0})
    write_run(tmp_path, "parity/gru", valid=1.0, test={"error": 1.0}, headline="error")
    write_run(tmp_path, "digits/gru", test={"loss": 1.0})
    found = {answer.task: answer for answer in answers(read_index(tmp_path))}
    assert found["adding"].why == "no run is completed"
    assert "headlines error, loss" in found["parity"].why
    assert "no run has been evaluated" in found["digits"].why
    assert all(not answer.contenders for answer in found.values())
    assert answers([]) == []


def test_the_baseline_is_that_of_the_runs(tmp_path: Path) -> None:
    write_whole_run(tmp_path, "adding/gru")
    write_run(tmp_path, "parity/gru", valid=1.0, test={"loss": 1.0})
    found = {answer.task: answer.baseline for answer in answers(read_index(tmp_path))}
    assert found == {"adding": (BASELINE, BASELINE), "parity": None}
