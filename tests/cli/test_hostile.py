"""Every option of every command, and every configuration key, with values that nobody expects.

A command ends with a documented exit code, and bad input with one line that begins with
`rnnexp: `, no traceback, and little processor time.
"""

import argparse
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnexp.cli.main import parser
from rnnexp.config.overrides import from_command_line
from rnnexp.config.schema import experiment, flat
from rnnexp.core.errors import UsageError
from rnnexp.train.plan import make_plan
from tests.helpers.damage import command_result

VALUES = (
    "", " ", "0", "-1", "1.5", "nan", "inf", "-inf", "1e400", "2147483648", "9223372036854775808",
    "18446744073709551616", "9" * 400, "é", "\udcff", "a" * 5000, "/", "..", "/dev/null", "None",
    "true", "[]", "{}", "x:y", ",", "=", "../../x", "a\nb", "--", "%s",
)  # fmt: skip
TINY = ["--config.train.duration_steps=1", "--config.eval.examples=8", "--config.eval.batch_size=8",
        "--config.train.batch_size=2", "--config.cell.hidden_size=2"]  # fmt: skip
COMMANDS = {
    "list": ["list"], "run": ["run", "adding/rnn", *TINY], "compare": ["compare"],
    "inspect": ["inspect"], "analyze": ["analyze"], "report": ["report"], "export": ["export"],
    "sample": ["sample"], "embeddings": ["embeddings"], "completion": ["completion"],
    "runs": ["runs", "label"], "bench": ["bench", "--nothing"], "study": ["study", "nothing.py"],
    "watch": ["watch", "nowhere/runs"],
    "sweep": ["sweep", "adding/rnn", "--dry-run", "--seeds", "0", "--sweep", "seed=x"],
}  # fmt: skip
"""By subcommand what it is called with. A sweep and a benchmark would work for seconds, so they
have something else that is wrong: what comes first is reported."""
BESIDE = {"watch": ["--port=-1"]}
"""What stands beside an argument without a name, where the command would not end with it."""
CODES = (0, 1, 2)
QUICK = 2.0


def lines() -> Iterator[list[str]]:
    """The command lines."""
    (subcommands,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, subcommand in subcommands.choices.items():
        for action in subcommand._actions:
            for value in VALUES:
                if not action.option_strings:
                    yield [name, *BESIDE.get(name, []), value]
                elif action.nargs != 0:
                    yield [*COMMANDS[name], f"{action.option_strings[-1]}={value}"]


LINES = list(lines())


def check(line: list[str]) -> None:
    began = time.process_time()
    code, out, err = command_result(line)
    spent = time.process_time() - began
    where = f"{[part[:60] for part in line]}: exit code {code}\n{out[-300:]}\n{err[-2000:]}"
    assert code in CODES, where
    assert "Traceback" not in out + err, where
    if code == 2:
        said = [text for text in err.strip().splitlines() if text.startswith("rnnexp: ")]
        assert len(said) == 1, where
        assert spent < QUICK, where


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_subcommand_is_there() -> None:
    assert {line[0] for line in LINES} == set(COMMANDS)
    assert len(LINES) > 1500


def test_a_sample_of_command_lines() -> None:
    for line in random.Random(5).sample(LINES, 150):
        check(line)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_line(name: str) -> None:
    for line in LINES:
        if line[0] == name:
            check(line)


def plan_or_line(key: str, value: str) -> None:
    """Plan a run with the value; if it is refused, the line is one line that names something."""
    began, said = time.process_time(), ""
    try:
        config = from_command_line("adding/lstm", [f"--config.{key}={value}"])
        make_plan(config, data_dir=None, chunk_steps=1)
    except UsageError as error:
        said = str(error).strip()
    assert "\n" not in said or "\n" in value, (key, value[:60], said)
    assert not said or time.process_time() - began < QUICK, (key, value[:60])


KEYS = [(key, value) for key in flat(experiment("adding/lstm")) for value in VALUES]


def test_a_sample_of_keys_and_values() -> None:
    for key, value in random.Random(7).sample(KEYS, 60):
        plan_or_line(key, value)


@pytest.mark.slow
@pytest.mark.parametrize("section", sorted({key.partition(".")[0] for key, _ in KEYS}))
def test_every_key_and_value(section: str) -> None:
    for key, value in KEYS:
        if key.partition(".")[0] == section:
            plan_or_line(key, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("JAX_ENABLE_X64", "maybe"), ("JAX_PLATFORMS", "abacus"), ("JAX_COMPILATION_CACHE_DIR", "\0")],
)
def test_wrong_values_of_jaxs_variables_are_named(name: str, value: str) -> None:
    import subprocess
    import sys

    if "\0" in value:
        value = "/dev/null/nowhere"
    done = subprocess.run(
        [sys.executable, "-m", "rnnexp", "run", "adding/rnn", *TINY],
        capture_output=True, text=True, env=os.environ | {name: value},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert done.returncode == (0 if name == "JAX_COMPILATION_CACHE_DIR" else 2)
    if done.returncode:
        assert name in done.stderr.strip().splitlines()[-1]


def test_output_that_cannot_be_encoded_is_replaced() -> None:
    import subprocess
    import sys

    for command in (["list", "cells"], ["run", "adding/rnn", *TINY], ["inspect", "adding/rnn"]):
        done = subprocess.run(
            [sys.executable, "-m", "rnnexp", *command], capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
