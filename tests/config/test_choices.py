"""Options of a user's optimiser, schedule and loss are keys where these are named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

import rnnexp
from rnnexp.config.describe import as_yaml, key_rows, meanings
from rnnexp.config.overrides import from_command_line, from_run
from rnnexp.config.schema import experiment, finish, flat, from_saved, run_id
from rnnexp.core.errors import UsageError
from rnnexp.sweep.axes import parse_space
from rnnexp.sweep.space import expand
from rnnexp.sweep.starting_points import read_base
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.read_config import message, read

OWN = {"optimizer.b1": 0.9, "optimizer.power": 0.5, "loss.tau": 0.5}
NAMES = {"optimizer.name": "mine", "optimizer.schedule": "root", "loss.name": "quantile"}


@pytest.fixture
def registered(own_tables: None) -> None:  # noqa: F811
    """An optimiser, a schedule and a loss with an option each."""

    def mine(learning_rate: Any, *, b1: float = 0.9, momentum: float = 0.9) -> Any:
        """Mine.

        Args:
          b1: of the first mean.
        """

    def root(steps: int, *, power: float = 0.5) -> Any:
        """A root."""

    def quantile(*, tau: float = 0.5) -> Any:
        """Pinball."""

    rnnexp.optimizer("mine")(mine)
    rnnexp.schedule("root")(root)
    rnnexp.loss("quantile")(quantile)


def chosen(*more: str) -> Any:
    """A configuration that names all three, from the command line."""
    return read(*(f"{key}={name}" for key, name in NAMES.items()), *more)


@pytest.mark.usefixtures("registered")
def test_their_options_are_keys_from_the_command_line() -> None:
    assert flat(chosen()).items() >= OWN.items()
    assert chosen("optimizer.b1=0.8").optimizer.b1 == 0.8
    assert not OWN.keys() & flat(read()).keys()
    assert "unknown configuration key 'config.optimizer.b1'" in message("optimizer.b1=0.8")
    assert meanings(chosen())["optimizer.b1"] == "of the first mean"
    assert not OWN.keys() & {row["key"] for row in key_rows()}


@pytest.mark.usefixtures("registered")
def test_a_name_alone_sets_them_in_python() -> None:
    config = experiment("adding/rnn")
    for key, name in NAMES.items():
        config.update_from_flattened_dict({key: name})
    assert finish(config) == chosen()
    assert finish(finish(config)) == chosen()  # what is frozen stays as it is


@pytest.mark.usefixtures("registered")
def test_files_and_saved_runs_bring_them_back(tmp_path: Path) -> None:
    config = chosen("optimizer.b1=0.8", "loss.tau=0.1")
    (file := tmp_path / "own.yaml").write_text(as_yaml(config))
    assert from_command_line(None, [f"--config={file}"]) == config
    saved = json.loads(config.to_json())
    assert from_saved(saved) == config
    again = from_run(saved, ["--config.optimizer.name=adam"])
    assert "optimizer.b1" not in flat(again)
    assert (again.optimizer.power, again.loss.tau) == (0.5, 0.1)
    assert len({run_id(c) for c in (config, again, chosen(), read())}) == 4


@pytest.mark.usefixtures("registered")
def test_a_sweep_has_them() -> None:
    arguments = [f"--config.{key}={name}" for key, name in NAMES.items()]
    points = list(expand(parse_space(["optimizer.b1=0.5,0.7"]), read_base("adding/rnn", arguments)))
    assert [point.config.optimizer.b1 for point in points] == [0.5, 0.7]
    assert {point.config.loss.tau for point in points} == {0.5}
    named = list(expand(parse_space(["optimizer.name=adam,mine"]), read_base("adding/rnn")))
    assert ["b1" in point.config.optimizer for point in named] == [False, True]
    file = ConfigDict(chosen("loss.tau=0.2").to_dict())
    (point,) = expand(parse_space([]), read_base(None, file=file))
    assert point.config.loss.tau == 0.2
    assert point.config.optimizer.name == "mine"


@pytest.mark.usefixtures("registered")
def test_an_option_with_the_name_of_another_key_is_refused() -> None:
    def named(learning_rate: Any, *, warmup_steps: int = 3) -> Any:
        """Takes a key of all."""

    def heavy(learning_rate: Any, *, momentum: float = 0.95) -> Any:
        """Has another default."""

    def both(learning_rate: Any, *, power: float = 2.0) -> Any:
        """Has the option of the schedule."""

    def choose(name: str, factory: Callable[..., Any]) -> str:
        rnnexp.optimizer(name)(factory)
        return message(f"optimizer.name={name}", "optimizer.schedule=root")

    assert "config.optimizer.warmup_steps is another key" in choose("named", named)
    assert "config.optimizer.momentum is a key of every experiment" in choose("heavy", heavy)
    assert "config.optimizer.power is an option of both" in choose("both", both)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer.name=adm", "unknown config.optimizer.name 'adm'. Did you mean 'adam'?"),
        ("optimizer.schedule=lineer", "unknown config.optimizer.schedule 'lineer'. Did you mean"),
        ("loss.name=hubber", "unknown config.loss.name 'hubber'. Did you mean 'huber'?"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(override: str, words: str) -> None:
    assert words in message(override)
    config = experiment("adding/rnn")
    config.update_from_flattened_dict(dict([override.split("=")]))
    with pytest.raises(UsageError, match=words.partition(".")[0]):
        finish(config)
