"""Errors that a user can act on; the command line prints them in one line, without a traceback."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """Bad input, known before anything starts: what is wrong, what was expected, alternatives."""

    exit_code = 2


class RunError(RuntimeError):
    """A run cannot continue (disk full, damaged files); what it has written is kept."""

    exit_code = 1


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    return str(error).partition("\n")[0] or type(error).__name__


def require_choice(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise the error of `unknown` unless the name is known."""
    if name not in (names := tuple(known)):
        raise unknown(kind, name, names)


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for an unknown name, with the nearest known one and all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")
