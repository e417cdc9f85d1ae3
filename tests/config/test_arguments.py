"""`--config FILE` and `--config.KEY VALUE` mean the same with a space as with a `=`."""

import pytest

from rnnexp.config.arguments import read_arguments, with_equals
from rnnexp.core.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["--config", "a.py"], ["--config=a.py"]),
        (["--config.seed", "3", "adding/rnn"], ["--config.seed=3", "adding/rnn"]),
        (["--config.cell.forget_bias", "-0.5"], ["--config.cell.forget_bias=-0.5"]),
        (["--config.seed=3", "x"], ["--config.seed=3", "x"]),
        (["--config.seed", "--json"], ["--config.seed", "--json"]),
        (["--config.seed"], ["--config.seed"]),
        (["--config.task.text", "a=b"], ["--config.task.text=a=b"]),
        (["--seeds", "3", "--confg.seed", "1"], ["--seeds", "3", "--confg.seed", "1"]),
    ],
)
def test_a_space_becomes_an_equals_sign(typed: list[str], read: list[str]) -> None:
    assert with_equals(typed) == read
    assert with_equals(read) == read


def test_file_and_keys_are_read() -> None:
    assert read_arguments(["--config", "a.py", "--config.a.b=1=2", "--config.c", ""]) == (
        "a.py",
        {"a.b": "1=2", "c": ""},
    )
    for typed in (["--config"], ["--config.seed", "--json"]):
        with pytest.raises(UsageError, match=f"{typed[0]} needs a value"):
            read_arguments(typed)
    with pytest.raises(UsageError, match="unexpected argument: x;"):
        read_arguments(["x"])
