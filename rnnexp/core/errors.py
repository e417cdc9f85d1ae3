"""Errors that a user can act on, and the words that suggest a remedy.

`UsageError` is bad input, known before anything starts (exit code 2);
`RunError` is a failure of the surroundings in mid-run (exit code 1). The command
line prints either in one line, without a traceback.
"""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """Bad input: names what is wrong, what was expected and the alternatives."""

    exit_code = 2


class RunError(RuntimeError):
    """A run could not go on (disk full, damaged files); what it had is kept."""

    exit_code = 1


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    return str(error).partition("\n")[0] or type(error).__name__


def require_choice(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise the error of `unknown` unless the name is one of the known ones."""
    if name not in (names := tuple(known)):
        raise unknown(kind, name, names)


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not in a table, with the nearest ones first."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")
