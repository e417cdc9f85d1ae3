"""Searches that train runs of a few steps: what is proposed, pruned and refused."""

from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.results.index import load_records
from rnnexp.results.load import load_run
from rnnexp.sweep.axes import Space, parse_space
from rnnexp.sweep.plan import read_plan
from rnnexp.sweep.search.found import Found
from rnnexp.sweep.search.search import search
from rnnexp.sweep.starting_points import read_base
from tests.helpers.small_search import AXES, EVERY, TRIALS, find, study_in, tiny, told


def test_every_trial_is_a_complete_run_of_its_values(undisturbed: tuple[Path, Found]) -> None:
    folder, found = undisturbed
    assert found.counts == {"completed": TRIALS}
    assert found.stopped is None
    trials, plan = study_in(folder), read_plan(folder / "s")
    assert [t.user_attrs["run"] for t in trials] == [p.run for p in plan]
    for trial, planned in zip(trials, plan, strict=True):
        run = load_run(folder / planned.run)
        assert run.config["optimizer"]["learning_rate"] == pytest.approx(
            trial.params["optimizer.learning_rate"], rel=1e-11
        )
        assert planned.changes == trial.user_attrs["values"]
        steps, losses = run.curve("valid", "loss")
        assert list(steps) == [5, 10, 15, 20]
        assert trial.intermediate_values == dict(zip(steps, losses, strict=True))
        assert trial.value == min(losses)
    assert {record.status for record in load_records(folder / "s")} == {"completed"}


def test_a_search_that_is_through_does_nothing(undisturbed: tuple[Path, Found]) -> None:
    folder, found = undisturbed
    before = told(folder)
    assert find(folder) == found
    assert told(folder) == before


def test_runs_that_exist_are_not_made_again(undisturbed: tuple[Path, Found]) -> None:
    folder, found = undisturbed
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("adding/rnn/*/*")}
    again = search(
        parse_space(AXES), tiny(), trials=TRIALS, name="again", sampler="random",
        runs_dir=folder, sweep_dir=folder / "again", storage=f"sqlite:///{folder}/s/study.db",
    )  # fmt: skip
    assert (again.counts, again.best) == (found.counts, found.best)
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Found]:
    """Successive halving, one run at a time."""
    folder = tmp_path_factory.mktemp("halved")
    return folder, find(folder, AXES, pruner="asha", prune_after=EVERY, at_once=1)


def test_asha_stops_what_its_rule_stops(halved: tuple[Path, Found]) -> None:
    folder, found = halved
    trials = study_in(folder)
    first: list[float] = []
    for trial in trials:
        first.append(trial.intermediate_values[EVERY])
        promoted = sorted(first)[: max(1, len(first) // 4)]
        expected = "COMPLETE" if first[-1] in promoted else "PRUNED"
        assert trial.state.name == expected, trial.number
    pruned = sum(trial.state.name == "PRUNED" for trial in trials)
    assert found.counts == {"completed": TRIALS - pruned, "pruned": pruned}
    assert 0 < pruned < TRIALS


def test_a_pruned_run_is_complete_up_to_its_last_step_and_says_why(
    halved: tuple[Path, Found],
) -> None:
    folder, _ = halved
    for trial in study_in(folder):
        if trial.state.name == "PRUNED":
            run = load_run(folder / trial.user_attrs["run"])
            value = trial.intermediate_values[EVERY]
            assert run.status["status"] == "pruned"
            assert run.status["step"] == EVERY
            assert run.status["reason"] == f"by asha after step 5: validation loss {value:.6g}"
            assert run.status["best"]["value"] == trial.value == value
            assert list(run.steps) == [0]
            assert not run.curve("test", "loss")[0].size
            assert (run.path / "checkpoints" / "last" / "5").exists()
            assert trial.user_attrs["outcome"]["reason"] == run.status["reason"]


def test_one_run_at_a_time_finds_the_same_again_also_with_trials_added_later(
    halved: tuple[Path, Found], tmp_path: Path
) -> None:
    for trials in (TRIALS - 2, TRIALS):
        found = find(
            tmp_path, AXES, trials=trials, pruner="asha", prune_after=EVERY, at_once=1
        )  # fmt: skip
        assert sum(found.counts.values()) == trials
    assert found == halved[1]
    assert told(tmp_path) == told(halved[0])


def test_diverged_failed_and_repeated_trials_do_not_end_a_search(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    axes = [
        "zip:optimizer.learning_rate=1e-2,1e6,1e-2,-1;optimizer.warmup_steps=0,0,50,0;"
        "cell.activation=tanh,relu,relu,relu"
    ]
    base = tiny(optimizer__name="sgd", clip__name="none")
    found = find(tmp_path, axes, base, trials=12, sampler="tpe")
    trials = study_in(tmp_path)
    states = {
        (trial.user_attrs["outcome"]["status"], trial.state.name, "run" in trial.user_attrs)
        for trial in trials
    }
    assert states == {
        ("completed", "COMPLETE", True), ("diverged", "PRUNED", True), ("failed", "FAIL", True),
        ("failed", "FAIL", False),
    }  # fmt: skip
    assert sum(found.counts.values()) == len(trials) == 12
    assert found.repeated == sum("repeats" in trial.user_attrs for trial in trials) >= 6
    for trial in trials:
        if "repeats" in trial.user_attrs:
            first = trials[trial.user_attrs["repeats"]]
            assert (trial.params, trial.state, trial.value) == (
                first.params, first.state, first.value,
            )  # fmt: skip
            assert trial.intermediate_values == first.intermediate_values
    reasons = {t.user_attrs["outcome"]["reason"] for t in trials if t.state.name == "FAIL"}
    assert "warm-up of 50 steps is not shorter than 20 steps" in reasons
    assert any("must be positive" in reason for reason in reasons)
    plan = read_plan(tmp_path / "s")
    assert len(plan) == len({planned.group for planned in plan}) == 3


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
