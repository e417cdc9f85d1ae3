"""What a search asks, decides, remembers and refuses, without any training."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.run.callbacks import Result
from rnnexp.sweep.axes import Space, parse_space
from rnnexp.sweep.plan import read_plan
from rnnexp.sweep.search.growing_plan import GrowingPlan
from rnnexp.sweep.search.outline import make_outline
from rnnexp.sweep.search.queue import Searcher
from rnnexp.sweep.search.search import search
from rnnexp.sweep.search.space import Goal, choose, import_optuna, make_pruner, make_sampler
from rnnexp.sweep.search.study import close_storage, open_storage, open_study
from rnnexp.sweep.space import point
from rnnexp.sweep.starting_points import read_base
from tests.helpers.small_search import (
    AXES,
    EVERY,
    find,
    optuna,
    tiny,
    trials_in,
)


def proposals(name: str, told_as: Any, *, of: Callable[[float], float | None]) -> list[float]:
    """What a sampler proposes for x in [0, 1] while it is told `of(x)`; None is an end without."""
    study = optuna.create_study()
    drawn = []
    for number in range(60):
        trial = study.ask()
        study.sampler = make_sampler(name, 0, number)
        drawn.append(trial.suggest_float("x", 0, 1))
        value = of(drawn[-1])
        study.tell(trial, value, None if value is not None else told_as)
    return drawn


def test_tpe_draws_near_the_minimum_and_random_does_not() -> None:
    def distance(name: str) -> float:
        drawn = proposals(name, None, of=lambda x: (x - 0.3) ** 2)
        return sum(abs(x - 0.3) for x in drawn[20:]) / 40

    assert distance("tpe") < 0.15 < 0.25 < distance("random")


def test_tpe_avoids_what_diverged_but_not_what_failed() -> None:
    def in_bad_half(told_as: Any) -> int:
        drawn = proposals("tpe", told_as, of=lambda x: None if x > 0.5 else 1 - x)
        return sum(x > 0.5 for x in drawn[10:])

    state = optuna.trial.TrialState
    assert in_bad_half(state.PRUNED) < in_bad_half(state.FAIL) / 2


def test_what_a_trial_draws_depends_on_seed_number_and_what_was_told() -> None:
    def draw(seed: int, number: int) -> float:
        study = optuna.create_study(sampler=make_sampler("random", seed, number))
        return float(study.ask().suggest_float("x", 0, 1))

    def parabola(x: float) -> float:
        return (x - 0.3) ** 2

    assert draw(0, 3) == draw(0, 3)
    assert proposals("tpe", None, of=parabola) == proposals("tpe", None, of=parabola)
    assert len({draw(seed, number) for seed in range(3) for number in range(5)}) == 15


def test_machines_that_ask_in_the_same_moment_make_no_trial_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here, die_here), (there, die_there) = (trials_in(tmp_path, s, 1) for s in ("here", "there"))
    ask = here.study.ask
    runs = []

    def late() -> Any:
        runs.append(there.next())
        return ask()

    monkeypatch.setattr(here.study, "ask", late)
    assert here.next() is None
    assert [run is not None for run in runs] == [True]
    assert [trial.number for trial in here.all()] == [0]
    assert there.next() is None
    assert len(here.study.get_trials()) == 2
    die_here()
    die_there()


def test_trials_of_a_dead_process_are_taken_over_in_its_directory_only(tmp_path: Path) -> None:
    first, die = trials_in(tmp_path, "here", 2)
    run = first.next()
    assert run is not None
    (same, die_same), (other, die_other) = (trials_in(tmp_path, s, 1) for s in ("here", "there"))
    assert same.next() is None
    die()
    assert other.next() is None
    again = same.next()
    assert again is not None
    assert again.run == run.run
    assert len(same.all()) == 1
    die_same()
    die_other()


def test_a_trial_that_died_before_it_had_values_gets_those_of_its_number(tmp_path: Path) -> None:
    undisturbed, die_there = trials_in(tmp_path / "other", "here", 1)
    expected = undisturbed.next()
    first, die = trials_in(tmp_path, "here", 1)
    assert first._ask() is not None
    die()
    second, die_here = trials_in(tmp_path, "here", 1)
    run = second.next()
    assert run is not None
    assert run == expected
    assert [trial.number for trial in second.all()] == [0]
    die_here()
    die_there()


def test_a_decision_to_prune_outlives_its_process(tmp_path: Path) -> None:
    first, die = trials_in(tmp_path, "here", 2, "asha")
    good, bad = (run.run for run in (first.next(), first.next()) if run is not None)
    assert first.judge(good, EVERY, 0.1, last=False) is None
    reason = first.judge(bad, EVERY, 0.9, last=False)
    assert reason == "by asha after step 5: validation loss 0.9"
    die()
    second, die_here = trials_in(tmp_path, "here", 2, "asha")
    assert {run.run for run in (second.next(), second.next()) if run is not None} == {good, bad}
    assert second.judge(bad, EVERY, 0.9, last=False) == reason
    assert second.judge(good, EVERY, 0.1, last=False) is None
    die_here()


def test_a_trial_that_is_ended_from_outside_stops_its_run_alone(tmp_path: Path) -> None:
    trials, die = trials_in(tmp_path, "here", 2)
    runs = [run.run for run in (trials.next(), trials.next()) if run is not None]
    trials.study.tell(0, state=optuna.trial.TrialState.FAIL)
    reasons = [trials.judge(run, EVERY, 0.5, last=False) for run in runs]
    assert reasons == ["trial 0 was ended from outside", None]
    trials.ended(runs[0], Result(tmp_path / runs[0], "pruned", EVERY, str(reasons[0])))
    assert [trial.state.name for trial in trials.all()] == ["FAIL", "RUNNING"]
    die()


def test_the_median_pruner_waits_for_its_first_step_and_for_completed_trials() -> None:
    goal = Goal("loss", False, total_steps=10, eval_steps=1)
    study = optuna.create_study(pruner=make_pruner("median", goal, 3))

    def stops_at(*values: float) -> int | None:
        trial = study.ask()
        for step, value in enumerate(values, 1):
            trial.report(value, step)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return step
        study.tell(trial, values[-1])
        return None

    assert [stops_at(v, v, v, v) for v in (1.0, 2.0, 3.0, 4.0, 5.0)] == [None] * 5
    assert stops_at(9.0, 9.0, 9.0, 9.0) == 3
    assert stops_at(2.9, 2.9, 2.9, 2.9) is None


def test_groups_of_a_plan_are_programs_also_when_it_is_read_again(tmp_path: Path) -> None:
    space = parse_space(["cell.recurrent_scale=linear:0.1..2", "cell.activation=tanh,relu"])

    def groups(*asked: tuple[float, str]) -> list[int]:
        plan, numbers = GrowingPlan(tmp_path, tmp_path, None), []
        for scale, activation in asked:
            changes = {"cell.recurrent_scale": scale, "cell.activation": activation}
            made = point(space, tiny(), changes)
            numbers.append(plan.add(made.config, made.changes).group)
        return numbers

    assert groups((1.0, "tanh"), (0.9, "tanh")) == [0, 0]
    assert groups((0.8, "relu"), (0.7, "tanh"), (0.9, "tanh")) == [1, 0, 0]
    assert [planned.group for planned in read_plan(tmp_path)] == [0, 0, 1, 0]


def test_runs_of_other_programs_wait_within_bounds_and_none_is_lost(tmp_path: Path) -> None:
    trials, die = trials_in(tmp_path, "here", 14)
    searcher = Searcher(trials, most=3, told=lambda status: None)
    seen: list[str] = []
    groups: list[int] = []
    while (program := searcher.next_program()) is not None:
        groups.append(program)
        while (run := searcher.take(program)) is not None:
            assert run.group == program
            seen.append(run.run)
            assert sum(map(len, searcher.waiting.values())) <= 3
    assert len(seen) == len(set(seen)) == 14
    assert set(groups) == {0, 1}
    die()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("study.db", "is no URL of a database"),
        ("sqlite://", "in memory"),
        ("nothing://host/name", "no driver"),
        ("oracle://me:secret@host/name", "no driver"),
        ("sqlite:////no/such/folder/study.db", "unable to open database file"),
    ],
)
def test_a_storage_that_cannot_be_used_is_named_without_its_password(
    url: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        open_storage(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_a_study_of_another_search_is_refused(tmp_path: Path) -> None:
    storage = open_storage(None, tmp_path)
    open_study(storage, "s", higher_is_better=False, identity={"axes": ["a"], "seed": 0})
    open_study(storage, "s", higher_is_better=False, identity={"axes": ["a"], "seed": 0})
    with pytest.raises(UsageError, match="its seed is 0"):
        open_study(storage, "s", higher_is_better=False, identity={"axes": ["a"], "seed": 1})
    close_storage(storage)


@pytest.mark.parametrize(
    ("axes", "arguments", "said"),
    [
        ([], {}, "nothing to search"),
        ([AXES[0], "random:3"], {}, "--trials"),
        (["task=adding,copy_memory", "cell=rnn"], {}, "one task, not of adding, copy_memory"),
        (["train.batch_size=2,4"], {"pruner": "asha"}, "train.batch_size changes"),
        (AXES, {"pruner": "median", "prune_after": 16}, "median would stop no run"),
        (AXES, {"pruner": "ahsa"}, "Did you mean 'asha'"),
        (AXES, {"trials": 0}, "at least one trial"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_made(
    axes: list[str], arguments: dict[str, Any], said: str, tmp_path: Path
) -> None:
    base = read_base(None) if "task" in str(axes) else tiny(train__batch_size=None)
    with pytest.raises(UsageError, match=said):
        find(tmp_path, axes, base, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_several_seeds_are_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    space = Space(parse_space(AXES).groups, seeds=3)
    with pytest.raises(UsageError, match="sweep with --seeds"):
        search(space, tiny(), trials=1, name="s", runs_dir=tmp_path, sweep_dir=tmp_path / "s")


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'rnnexp\[search\]'"):
        import_optuna()


def test_optuna_says_nothing_past_the_handlers_of_the_program() -> None:
    logger = logging.getLogger("optuna")
    import_optuna()
    assert (logger.propagate, logger.handlers) == (True, [])


def test_values_of_every_kind_of_axis_are_chosen_as_the_space_names_them() -> None:
    texts = [
        "cell.hidden_size=4,8,16", "optimizer.learning_rate=log:1e-3..1e-1:3",
        "zip:clip.name=value,none;clip.threshold=0.5,2", "train.batch_size=log:2..9",
        "model.residual=true,false",
    ]  # fmt: skip
    base = read_base("adding/rnn")
    outline = make_outline(
        parse_space(texts), base, trials=9, sampler="random", pruner="none", prune_after=None,
        seed=0, data_dir=None,
    )  # fmt: skip
    assert outline.settings == 3 * 3 * 2 * 8 * 2
    study, seen = optuna.create_study(), set()
    for number in range(150):
        trial = study.ask()
        study.sampler = make_sampler("random", 0, number)
        values = outline.choose(trial)
        point = outline.make(values)
        assert values == {k: v for k, v in point.changes.items() if k != "seed"}
        pair = (values["clip.name"], values["clip.threshold"])
        assert pair in {("value", 0.5), ("none", 2.0)}
        seen |= {("size", values["cell.hidden_size"]), ("rate", values["optimizer.learning_rate"])}
        seen |= {("batch", values["train.batch_size"]), ("residual", values["model.residual"])}
        seen |= {pair}
    sizes = {("size", n) for n in (4, 8, 16)} | {("rate", r) for r in (1e-3, 1e-2, 1e-1)}
    rest = {("batch", n) for n in range(2, 10)} | {("residual", True), ("residual", False)}
    assert seen == sizes | rest | {("value", 0.5), ("none", 2.0)}
    assert choose(trial, []) == {}
