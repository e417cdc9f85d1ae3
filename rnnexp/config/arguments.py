"""The command line's part of a configuration: `--config=FILE` and `--config.KEY=VALUE`."""

import re
from collections.abc import Sequence

from rnnexp.core.errors import UsageError


def with_equals(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--config FILE` and `--config.KEY VALUE` written with a `=`."""
    joined: list[str] = []
    waiting = False
    for argument in arguments:
        if waiting and not argument.startswith("--"):
            joined[-1] += f"={argument}"
            waiting = False
        else:
            joined.append(argument)
            waiting = re.fullmatch(r"--config(\.[^=]+)?", argument) is not None
    return joined


def read_arguments(arguments: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """FILE of `--config=FILE` and the text of every `--config.KEY=VALUE`, by key.

    A space may replace the `=` before a value. Raises `UsageError` for anything else.
    """
    file, overrides = None, {}
    for argument in with_equals(arguments):
        match = re.fullmatch(r"--(config)(?:\.([^=]+))?(?:=(.*))?", argument, re.DOTALL)
        if match is None:
            raise UsageError(
                f"unexpected argument: {argument}; keys are changed by --config.KEY=VALUE, and "
                "--help lists the options"
            )
        key, value = match[2], match[3]
        if value is None:
            raise UsageError(f"--config{'.' + key if key else ''} needs a value: =VALUE")
        if key is None:
            file = value
        else:
            overrides[key] = value
    return file, overrides
