"""Errors that a user can act on; the command line prints them in one line, without a traceback."""

import difflib
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy", "rnnexp")
"""Packages in which a user does not look for the place of an error."""


class UsageError(ValueError):
    """Bad input, known before anything starts: what is wrong, what was expected, alternatives."""

    exit_code = 2


class RunError(RuntimeError):
    """A run cannot continue (disk full, damaged files); what it has written is kept."""

    exit_code = 1


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    return str(error).partition("\n")[0] or type(error).__name__


def place_of(error: BaseException, function: object = None) -> str:
    """`FILE:LINE` of the innermost line of the user's own code that led to an error.

    Where there is none, the place of `function`, or a line of a built-in cell or task. Empty if
    there is none of these either.
    """
    lines = traceback.extract_tb(error.__traceback__)
    places = [(line.filename, line.lineno or 0) for line in reversed(lines)]
    code = getattr(function, "__code__", None)
    places += [(code.co_filename, code.co_firstlineno)] if code is not None else []
    own = (place for place in places if not _of_library(place[0]))
    ours = (place for place in places if Path(place[0]).parent.name in ("cells", "tasks"))
    file, line = next(own, None) or next(ours, ("", 0))
    return f"{file}:{line}" if file else ""


def _of_library(file: str) -> bool:
    """Whether a file belongs to Python, or to one of `LIBRARIES`."""
    loaded = [getattr(sys.modules.get(name), "__file__", None) for name in LIBRARIES]
    folders = [Path(place).parent for place in loaded if place]
    path, standard = Path(file), Path(sysconfig.get_paths()["stdlib"])
    installed = {"site-packages", "dist-packages"} & {*path.parts}
    if file.startswith("<frozen") or (path.is_relative_to(standard) and not installed):
        return True
    return any(path.is_relative_to(folder) for folder in folders)


def require_choice(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise the error of `unknown` unless the name is known."""
    if name not in (names := tuple(known)):
        raise unknown(kind, name, names)


def require_at_least(least: float, *, of: str = "", **values: float) -> None:
    """Raise `UsageError` for a value, named by its keyword, that is below `least`.

    Args:
      of: what the values are options of, if the message should say so.
    """
    for name, value in values.items():
        if value < least:
            owner = f" of {of}" if of else ""
            raise UsageError(f"{name}{owner} must be at least {least}, not {value}")


def unknown(kind: str, name: str, known: Iterable[str], *, meant: str | None = None) -> UsageError:
    """The error for an unknown name, with the known one that is meant and all of them.

    Args:
      meant: the name to suggest in place of the nearest by its letters; empty: none.
    """
    names = sorted(known)
    near = meant
    if near is None:
        near = next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.5)), "")
    hint = f" Did you mean {near!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")
