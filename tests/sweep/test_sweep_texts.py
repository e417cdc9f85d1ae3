"""What `--sweep`, `--seeds`, base and space files may say, and how the rest is refused."""

import logging
from pathlib import Path
from typing import Any

import pytest

from rnnexp.config.overrides import from_command_line
from rnnexp.config.schema import experiment
from rnnexp.core.errors import UsageError
from rnnexp.sweep.axes import Axis, Space, interval
from rnnexp.sweep.space import expand, load_space, parse_space, read_base
from tests.sweep.test_space import RATE, as_run, logged, points, values


def refusal(*texts: str, **keywords: Any) -> str:
    """What the refusal of a sweep says."""
    with pytest.raises(UsageError) as caught:
        points(*texts, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


def test_typed_values_of_a_space_are_held_to_their_key() -> None:
    base = read_base("adding/rnn")
    assert values(expand(Space(((Axis(RATE, (1, 0.5)),),)), base), RATE) == [1.0, 0.5]
    for key, value in [("train.batch_size", 8.0), ("model.residual", 1), ("optimizer.name", 3)]:
        with pytest.raises(UsageError, match=rf"config\.{key} takes"):
            expand(Space(((Axis(key, (value,)),),)), base)
    with pytest.raises(UsageError, match="unknown scale 'lag'"):
        interval(RATE, "lag", 1.0, 2.0)
    with pytest.raises(UsageError, match="the list of values is empty"):
        Axis(RATE)
