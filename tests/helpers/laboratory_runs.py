"""A small run that the laboratory follows."""

from typing import Any

from ml_collections import FrozenConfigDict

from rnnexp.config.schema import experiment, finish

SMALL = {
    "task.length_steps": 8,
    "cell.hidden_size": 3,
    "train.batch_size": 4,
    "train.duration_steps": 40,
    "eval.every_steps": 20,
    "eval.examples": 8,
    "eval.batch_size": 8,
    "checkpoint.every_steps": 15,
    "checkpoint.keep_every_steps": 10,
    "laboratory.every_steps": 20,
    "laboratory.warmup_steps": 2,
    "laboratory.interval_steps": 1,
    "laboratory.exponents": 2,
    "laboratory.longest_span": 0,  # singular values take longest to compile
}


def config_of(**changes: Any) -> FrozenConfigDict:
    """A small run that the laboratory follows."""
    config = experiment("adding/rnn")
    values = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    config.update_from_flattened_dict(values)
    return finish(config)
