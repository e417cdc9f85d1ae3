"""Overrides change configurations, of experiments and of config files, or are refused by name."""

from pathlib import Path
from typing import Any

import pytest
from ml_collections import FrozenConfigDict

from rnnexp.config.overrides import from_command_line
from rnnexp.config.schema import flat
from rnnexp.core.errors import UsageError
from tests.helpers.read_config import EVERYTHING, message, read


def read_file(folder: Path, body: str, *overrides: str) -> FrozenConfigDict:
    """The configuration of a file whose `get_config()` has this body, with overrides."""
    file = folder / "example.py"
    head = "from ml_collections import ConfigDict\n"
    head += "from rnnexp.config.schema import experiment, finish\n"
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    file.write_text(f"{head}\n\ndef get_config():\n{lines}")
    return from_command_line(None, [f"--config={file}", *(f"--config.{o}" for o in overrides)])


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=7", "seed", 7),
        ("optimizer.learning_rate=3e-4", "optimizer.learning_rate", 3e-4),
        ("optimizer.learning_rate=1", "optimizer.learning_rate", 1.0),
        ("optimizer.name=sgd", "optimizer.name", "sgd"),
        ("task.permuted=true", "task.permuted", True),
        ("cell.peepholes=False", "cell.peepholes", False),
        ("train.duration_examples=640", "train.duration_examples", 640),
        ("cell.forget_bias=-0.5", "cell.forget_bias", -0.5),
    ],
)
def test_an_override_has_the_type_of_its_key(override: str, key: str, value: Any) -> None:
    got = flat(read(override, name=EVERYTHING))[key]
    assert got == value
    assert type(got) is type(value)


def test_an_override_changes_nothing_else() -> None:
    before, after = flat(read()), flat(read("optimizer.learning_rate=0.5"))
    assert after == before | {"optimizer.learning_rate": 0.5}


def test_a_value_may_follow_its_key_after_a_space() -> None:
    spaced = from_command_line("adding/rnn", ["--config.seed", "3", "--config.train.batch_size=8"])
    assert spaced == read("seed=3", "train.batch_size=8")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer.learning_rat=1", "config.optimizer.learning_rat'. Did you mean 'config.opt"),
        ("optimzer.momentum=1", "config.optimzer.momentum'. Did you mean 'config.optimizer.mom"),
        ("cell.peepholes=true", "config.cell.peepholes'"),
        ("train=3", "config.train'"),
        ("seed=1.5", "config.seed=1.5"),
        ("seed=abc", "config.seed=abc"),
        ("optimizer.learning_rate=fast", "config.optimizer.learning_rate=fast"),
        ("train.duration_steps=1e3", "config.train.duration_steps=1e3"),
        ("train.duration_steps=", "config.train.duration_steps="),
        ("seed", "config.seed needs a value"),
        ("cell.name=lstm", "config.cell.name is fixed"),
        ("task.name=mnist", "config.task.name is fixed"),
        ("seed=-1", "config.seed must not be negative"),
        ("optimizer.learning_rate=-0.1", "config.optimizer.learning_rate must be positive"),
        ("optimizer.learning_rate=nan", "config.optimizer.learning_rate must be"),
        ("optimizer.learning_rate=inf", "config.optimizer.learning_rate must be"),
        ("cell.recurrent_scale=nan", "config.cell.recurrent_scale"),
        ("optimizer.momentum=nan", "config.optimizer.momentum must"),
        ("clip.threshold=0", "config.clip.threshold must be positive"),
        ("clip.adjoint_limit=-1", "config.clip.adjoint_limit must not be negative"),
        ("regularizer.omega=-1", "config.regularizer.omega must not be negative"),
        ("regularizer.flossing_exponents=0", "config.regularizer.flossing_exponents must be"),
        ("regularizer.omgea=1", "config.regularizer.omgea'. Did you mean 'config.regularizer.o"),
        ("train.batch_size=0", "config.train.batch_size must be positive"),
        ("cell.hidden_size=-4", "config.cell.hidden_size must be positive"),
        ("model.num_layers=0", "config.model.num_layers must be positive"),
        ("train.duration_steps=0", "config.train.duration_steps must not be less than 1"),
        ("eval.every_epochs=-1", "config.eval.every_epochs must not be less than 1"),
        ("optimizer.warmup_steps=-1", "config.optimizer.warmup_steps must"),
    ],
)
def test_a_bad_override_is_named(override: str, words: str) -> None:
    assert words in message(override)


def test_an_experiment_comes_from_one_place() -> None:
    for name, arguments in [(None, []), ("adding/rnn", ["--config=x.py"])]:
        with pytest.raises(UsageError, match="either TASK/CELL or --config=FILE"):
            from_command_line(name, arguments)
    with pytest.raises(UsageError, match=r"--confg\.seed=1"):
        from_command_line("adding/rnn", ["--confg.seed=1"])


def test_a_config_file_is_the_experiment_with_its_changes(tmp_path: Path) -> None:
    body = "c = experiment('adding/rnn')\nc.optimizer.learning_rate = 1\nreturn c"
    config = read_file(tmp_path, body)
    assert config == read("optimizer.learning_rate=1.0")
    assert type(config.optimizer.learning_rate) is float


def test_overrides_win_over_a_config_file(tmp_path: Path) -> None:
    body = "c = experiment('adding/rnn')\nc.seed = 3\nc.train.duration_epochs = 5\nreturn c"
    assert read_file(tmp_path, body) == read("seed=3", "train.duration_epochs=5")
    assert read_file(tmp_path, body, "seed=0") == read("train.duration_epochs=5")
    for override in ("train.duration_steps=2000", "train.duration_examples=9"):
        assert read_file(tmp_path, body, override) == read("seed=3", override)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return {}", "returned a dict; return experiment(...)"),
        ("return finish(experiment('adding/rnn'))", "FrozenConfigDict"),
        ("return ConfigDict()", "example.py"),
        ("return ConfigDict({'task': {'name': 'adding'}, 'cell': {'name': 'rnn'}})", "lacks keys"),
        ("return experiment('adding/lstmm')", "Did you mean 'lstm'?"),
        ("return 1 / 0", "example.py: ZeroDivisionError: division by zero"),
        ("import nosuch", "No module named 'nosuch'"),
        ("c = experiment('adding/rnn')\nc.train.extra = 1", '"extra" does not exist'),
        (
            "c = experiment('adding/rnn')\nwith c.unlocked():\n    c.train.extra = 1\nreturn c",
            "unknown configuration key 'config.train.extra'",
        ),
        ("c = experiment('adding/rnn')\nc.seed = 'x'", "example.py"),
        ("c = experiment('adding/rnn')\nc.train.batch_size = None\nreturn c", "train.batch_size"),
        ("c = experiment('adding/rnn')\nc.train.duration_steps = None\nreturn c", "exactly one of"),
    ],
)
def test_a_wrong_config_file_is_refused_in_one_line(tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_file(tmp_path, body)
    said = str(caught.value)
    assert words in said
    assert "\n" not in said
    assert "FieldReference" not in said


def test_a_config_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("1 / 0\n")
    with pytest.raises(UsageError, match=r"missing\.py.*other\.py"):
        from_command_line(None, [f"--config={tmp_path / 'missing.py'}"])
    with pytest.raises(UsageError, match=r"other\.py: ZeroDivisionError"):
        from_command_line(None, [f"--config={tmp_path / 'other.py'}"])
    (tmp_path / "other.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match=r"other\.py defines no get_config\(\)"):
        from_command_line(None, [f"--config={tmp_path / 'other.py'}"])


def test_whole_numbers_are_typed_with_commas(tmp_path: Path) -> None:
    for text in ("20,40", "20, 40", "(20, 40)", "[20,40]", "20,40,"):
        assert read(f"eval.lengths={text}").eval.lengths == (20, 40)
    assert read("eval.lengths=7").eval.lengths == (7,)
    assert read("eval.lengths=").eval.lengths == read("eval.lengths=()").eval.lengths == ()
    for value in ("(20, 40)", "[20, 40]"):
        body = f"c = experiment('adding/rnn')\nc.eval.lengths = {value}\nreturn c"
        assert read_file(tmp_path, body) == read("eval.lengths=20,40")
