"""YAML and JSON files are configurations, or are refused in one line that names file and key."""

import json
from pathlib import Path

import pytest

from rnnexp.config.overrides import from_command_line
from rnnexp.core.errors import UsageError
from rnnexp.core.files import to_json
from tests.helpers.read_config import read

YAML = """
task: {name: adding}
cell:
  name: rnn
  hidden_size: 32
optimizer.learning_rate: 1e-4  # dotted; and no point in the number
train:
  duration_epochs: null
  duration_examples: 640
eval.lengths: [20, 40]
"""
CHANGES = ("cell.hidden_size=32", "optimizer.learning_rate=1e-4", "train.duration_examples=640",
           "eval.lengths=20,40")  # fmt: skip


def test_a_file_is_its_experiment_with_its_changes(tmp_path: Path) -> None:
    (yaml := tmp_path / "a.yaml").write_text(YAML)
    assert from_command_line(None, [f"--config={yaml}"]) == read(*CHANGES)
    content = {
        "task": {"name": "adding"}, "cell": {"name": "rnn", "hidden_size": 32},
        "optimizer": {"learning_rate": 1e-4}, "train.duration_examples": 640,
        "eval": {"lengths": [20, 40]},
    }  # fmt: skip
    (file := tmp_path / "a.json").write_text(json.dumps(content, indent="\t"))
    assert from_command_line(None, ["--config", str(file)]) == read(*CHANGES)
    given = from_command_line(None, [f"--config={file}", "--config.cell.hidden_size", "8"])
    assert given == read(*CHANGES, "cell.hidden_size=8")


def test_the_config_json_of_a_run_is_a_file(tmp_path: Path) -> None:
    config = read("train.duration_epochs=3", "head.name=nade", "seed=5", name="jsb_chorales/lstm")
    (file := tmp_path / "config.json").write_text(to_json(config.to_dict()))
    assert from_command_line(None, [f"--config={file}"]) == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must hold keys and values, not NoneType"),
        ("- 1", "must hold keys and values, not list"),
        ("seed: 1", "must name its experiment: task.name and cell.name"),
        ("task: adding\ncell: rnn", "must name its experiment"),
        ("{", "a.yaml: while parsing"),
        ("seed: 1\nseed: 2", "'seed' is given twice"),
        ("a: {b: 1}\na.b: 2", "'a.b' is given twice"),
        ("task.name: addin\ncell.name: rnn", "Did you mean 'adding'?"),
        (YAML + "optimizer.lr: 1", "Did you mean 'config.optimizer.learning_rate'?"),
        (YAML + "seed: x", "config.seed='x'"),
        (YAML + "seed: 1.5", "config.seed=1.5"),
        (YAML + "seed: null", "config.seed must have a value"),
        (YAML + "optimizer.momentum: .nan", "config.optimizer.momentum must be finite"),
        (YAML + "train.duration_steps: 5", "exactly one of config.train.duration_steps"),
        (YAML + "x: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    (file := tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        from_command_line(None, [f"--config={file}"])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(b"\xff")
    (tmp_path / "c.json").write_text('{"seed": 1, "seed": 2}')
    (tmp_path / "d.json").write_text("{")
    for name, words in {
        "none.yaml": "No such file", "b.json": "no UTF-8 text", "c.json": "'seed' is given twice",
        "d.json": "Expecting property name",
    }.items():  # fmt: skip
        with pytest.raises(UsageError, match=words) as caught:
            from_command_line(None, [f"--config={tmp_path / name}"])
        assert name in str(caught.value)
