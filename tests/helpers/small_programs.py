"""The compiled functions of small experiments, one of them on a stream."""

from pathlib import Path
from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.config.choices import choose
from rnnexp.config.schema import experiment, finish
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_plan
from tests.helpers.data_files import DATA, data_or_skip

SMALL = {"cell.hidden_size": 6, "train.batch_size": 8, "train.duration_steps": 20}


def configured(name: str, **changes: Any) -> FrozenConfigDict:
    """An experiment, small, with keys changed; `__` stands for the dot."""
    config = experiment(name)
    for unit in ("steps", "epochs", "examples"):
        config.train[f"duration_{unit}"] = None
    values = SMALL | {k.replace("__", "."): v for k, v in changes.items()}
    choose(config, values)
    for key, value in values.items():
        config.update_from_flattened_dict({key: value})
    return finish(config)


def programs(name: str, **changes: Any) -> Programs:
    """The compiled functions of a small experiment."""
    file = DATA.get(name.partition("/")[0])
    data_dir = None if file is None else data_or_skip(file)
    return Programs(make_plan(configured(name, **changes), data_dir=data_dir, chunk_steps=10))


def stream_program(tmp_path: Path) -> Programs:
    """An LSTM on a text of 199 + 20 characters in windows of 8, whose weights stay put."""
    file = tmp_path / "text.txt"
    file.write_text("".join(chr(97 + n * n % 7) for n in range(220)))
    return programs(
        "char_lm/lstm",
        task__file=str(file),
        task__window_steps=8,
        task__valid_fraction=0.1,
        task__test_fraction=0.0,
        train__batch_size=4,
        optimizer__name="sgd",
        optimizer__learning_rate=1e-30,
    )
