"""What the points of a sweep start from: experiments, the base, and files of bases and spaces."""

import logging
from collections import Counter
from pathlib import Path

import pytest

from rnnexp.config.overrides import from_command_line
from rnnexp.config.schema import experiment, flat
from rnnexp.core.errors import UsageError
from rnnexp.sweep.axes import Axis, Space
from rnnexp.sweep.space import expand, load_space, parse_space, read_base
from tests.helpers.sweep_points import RATE, as_run, hear, logged, points, refusal, values

_hear = pytest.fixture(autouse=True)(hear)


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


def test_options_of_the_head_that_the_base_names() -> None:
    given = ("head.name=logistic", "head.tolerance=0.04")
    (found,) = points(given=given)
    assert found.config == as_run("adding/rnn", *given)
    assert found.config.head.tolerance == 0.04


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


def test_a_name_may_lack_what_is_swept() -> None:
    for name in ("adding", "adding/", None):
        texts = ["cell=rnn,gru"] + ["task=adding"] * (name is None)
        assert [p.config for p in points(*texts, name=name)] == [
            as_run("adding/rnn"), as_run("adding/gru"),
        ]  # fmt: skip


def write(folder: Path, *lines: str) -> str:
    """A Python file of these lines, with what it needs imported."""
    head = "from rnnexp import experiment\nfrom rnnexp.sweep.space import Axis, Space, interval\n"
    file = folder / "mine.py"
    file.write_text(head + "\n".join(lines) + "\n")
    return str(file)


CONFIG = (
    "def get_config():",
    "    c = experiment('adding/lstm')",
    "    c.cell.forget_bias, c.cell.hidden_size, c.train.duration_epochs = 2.0, 9, 3",
    "    return c",
)


def test_the_changes_of_a_file_reach_every_experiment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rnnexp")
    file = write(tmp_path, *CONFIG)
    base = read_base(None, [f"--config={file}", "--config.seed=2"])
    space = parse_space(["cell=lstm,gru", "task=adding,digits"])
    found = {(p.config.task.name, p.config.cell.name): p.config for p in expand(space, base)}
    shared = ("cell.hidden_size=9", "train.duration_epochs=3", "seed=2")
    for (task, cell), config in found.items():
        own = ("cell.forget_bias=2",) if cell == "lstm" else ()
        assert config == as_run(f"{task}/{cell}", *shared, *own)
    assert len(found) == 4
    assert logged(caplog) == ["config.cell.forget_bias is no key of gru: 2.0 is not used there"]


def test_a_file_alone_is_the_run_of_that_file(tmp_path: Path) -> None:
    file = write(tmp_path, *CONFIG)
    (found,) = expand(Space(), read_base(None, [f"--config={file}"]))
    assert found.config == from_command_line(None, [f"--config={file}"])


def test_a_wrong_base_is_refused() -> None:
    assert "the sweep has no cell" in refusal(name="adding")
    assert "the sweep has no task" in refusal("cell=rnn", name=None)
    assert "fixed by the experiment" in refusal(given=("cell.name=gru",))
    assert f"config.{RATE} is swept and given" in refusal(f"{RATE}=1,2", given=(f"{RATE}=1",))
    assert "config.seed is swept and given" in refusal(seeds="1,2", given=("seed=1",))
    assert "Did you mean 'config.cell.start'" in refusal("cell=rnn,gru", given=("cell.stat=x",))
    assert "config.seed=1.5" in refusal(given=("seed=1.5",))
    with pytest.raises(UsageError, match="either TASK/CELL or --config=FILE"):
        read_base("adding/rnn", [], file=experiment("adding/gru"))


def test_a_file_that_unsets_a_duration_must_set_another_unit(tmp_path: Path) -> None:
    lines = ("def get_config():", "    c = experiment('digits/rnn')")
    unset = "    c.train.duration_epochs = None"
    set_again = "    c.train.duration_steps = 7"
    space = parse_space(["task=digits,adding"])
    file = write(tmp_path, *lines, unset, set_again, "    return c")
    found = expand(space, read_base(None, [f"--config={file}"]))
    assert values(found, "train.duration_steps") == [7, 7]
    assert values(found, "train.duration_epochs") == [None, None]
    file = write(tmp_path, *lines, unset, "    return c")
    with pytest.raises(UsageError, match="exactly one of"):
        expand(space, read_base(None, [f"--config={file}"]))


def test_a_file_with_an_unknown_key_is_refused() -> None:
    config = experiment("adding/rnn")
    with config.unlocked():
        config.train.extra = 1
    with pytest.raises(UsageError, match=r"unknown configuration key 'config\.train\.extra'"):
        expand(parse_space(["cell=rnn,gru"]), read_base(None, file=config))


def test_a_space_file_gives_texts_or_a_space(tmp_path: Path) -> None:
    texts = write(
        tmp_path, "def get_space():", f"    return ['{RATE}=log:1e-3..1e-1:3', 'cell=rnn,gru']"
    )
    space, config = load_space(texts)
    assert config is None
    assert space == parse_space([f"{RATE}=log:1e-3..1e-1:3", "cell=rnn,gru"])
    lines = (
        "def get_space():",
        f"    rates = interval('{RATE}', 'log', 1e-3, 1e-1, 3)",
        "    return Space(((rates,), (Axis('cell.name', ('rnn', 'gru')),)), 4)",
    )
    built, _ = load_space(write(tmp_path, *lines))
    assert built == Space(space.groups, 4)
    base = read_base("adding/rnn")
    assert len(expand(built, base)) == 24


def test_the_command_line_adds_to_a_space_file(tmp_path: Path) -> None:
    body = "    return Space(((Axis('cell.name', ('lstm', 'gru')),),), (1, 2), None, 5)"
    file = write(tmp_path, *CONFIG, "def get_space():", body)
    space, config = load_space(file, [f"{RATE}=1,2", "random:3"])
    assert config is not None
    assert space == Space((*space.groups[:1], (Axis(RATE, ("1", "2")),)), (1, 2), 3, 5)
    assert load_space(file, seeds="1", draw_seed=0)[0] == Space(space.groups[:1], 1, None, 0)
    found = expand(space, read_base(None, file=config))
    assert {p.config.cell.hidden_size for p in found} == {9}
    assert {p.config.seed for p in found} == {1, 2}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["x = 1"], "defines no get_space()"),
        (["def get_space(): return {}"], "get_space() of"),
        (["def get_space(): return [1]"], "returned a list"),
        (["def get_space(): return 1 / 0"], "ZeroDivisionError: division by zero"),
        (["def get_space(): return ['cell']"], "is of no known form"),
        (["1 / 0"], "ZeroDivisionError"),
    ],
)
def test_a_wrong_space_file_is_refused(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_space(write(tmp_path, *lines))
    assert words in str(caught.value)
    with pytest.raises(UsageError, match="no space file"):
        load_space(str(tmp_path / "missing.py"))


def test_what_changes_nothing_of_a_run_is_not_swept() -> None:
    said = refusal("train.budget_minutes=1,2")
    assert "config.train.budget_minutes changes nothing of what a run is" in said
    (one,) = points("cell=rnn", given=("train.budget_minutes=3",))
    assert one.config.train.budget_minutes == 3
