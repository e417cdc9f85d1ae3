"""Configurations of experiments with overrides as they are typed, and what refusals say."""

import pytest
from ml_collections import FrozenConfigDict

from rnnexp.config.overrides import from_command_line
from rnnexp.core.errors import UsageError

EVERYTHING = "mnist/lstm"


def read(*overrides: str, name: str = "adding/rnn") -> FrozenConfigDict:
    """The configuration of an experiment with overrides, typed without `--config.`."""
    return from_command_line(name, [f"--config.{override}" for override in overrides])


def message(*overrides: str, name: str = "adding/rnn") -> str:
    """What the refusal of these overrides says."""
    with pytest.raises(UsageError) as caught:
        read(*overrides, name=name)
    return str(caught.value)
