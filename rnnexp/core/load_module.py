"""Load a Python file of the user's by its path, and remember what it opened."""

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, MappingProxyType, ModuleType

from rnnexp.core.errors import UsageError
from rnnexp.core.user_files import imported_names, opened_files

log = logging.getLogger("rnnexp")

_loading: list[Path] = []
_loaded: dict[Path, set[Path]] = {}
_imported: list[Path] = []


def load_module(path: str, what: str) -> ModuleType:
    """The module in the file at `path`, whose role `what` names; `UsageError` if it fails.

    The file may import modules from its own folder, which come first while it is loaded, as for a
    script that is started there. A module that is loaded already is kept; where it is not the one
    beside the file, a warning says so.
    """
    file = Path(path)
    if not file.is_file():
        near = ", ".join(str(p) for p in sorted(file.parent.glob("*.py"))) or "none"
        raise UsageError(f"no {what} {path!r}. Python files in that folder: {near}.")
    name = f"rnnexp_user_{file.stem}"
    loader = _FreshLoader(name, str(file.absolute()))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None or file.suffix != ".py":
        raise UsageError(f"the {what} {path!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _recorded(file.absolute()), _first_in_path(file.absolute().parent):
            loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:  # whatever the user's file raises is a fault of that file
        raise UsageError(f"{what} {path}: {type(error).__name__}: {error}") from error
    _warn_of_others(file.absolute())
    return module


def load_imports(paths: Sequence[str], *, again: bool = True) -> None:
    """Load the files that `--import` of a command names; `UsageError` if one fails.

    Args:
      again: load a file that this process has loaded before once more, as it is now. Python code
        that names it in several calls must not: its cells and tasks are there already.
    """
    _imported.clear()
    for path in paths:
        if again or Path(path).absolute() not in _loaded:
            load_module(path, "imported file")
        _imported.append(Path(path).absolute())


def forget_imports() -> None:
    """End the command of `load_imports`: what follows in this process is not made of its files."""
    _imported.clear()


class _FreshLoader(SourceFileLoader):
    """Compiles the file as it is now, never from bytecode that may belong to another content."""

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


@contextmanager
def _first_in_path(folder: Path) -> Iterator[None]:
    """A folder as the first in which modules are looked for; afterwards it is the last.

    It stays, because functions of the user's may import modules when they are called.
    """
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def _warn_of_others(file: Path) -> None:
    """Warn of a module that a loaded file imports and that is not the one beside it."""
    for name in imported_names(file):
        beside = [file.with_name(f"{name}.py"), file.with_name(name) / "__init__.py"]
        there = next((place for place in beside if name and place.exists()), None)
        found = getattr(sys.modules.get(name), "__file__", None)
        if there is not None and found is not None and not os.path.samefile(found, there):
            log.warning("%s imports %s from %s, not from %s", file, name, found, there)


@contextmanager
def _recorded(file: Path) -> Iterator[None]:
    """Note that the file is being loaded, and what is opened meanwhile; write no bytecode."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    _loading.append(file)
    try:
        with opened_files() as opened:
            yield
        _loaded[file] = opened
    finally:
        _loading.pop()
        sys.dont_write_bytecode = before


def loading_file() -> Path | None:
    """The user's file that is being loaded, the outermost one; None if none is."""
    return _loading[0] if _loading else None


def loaded_files() -> Mapping[Path, set[Path]]:
    """The user's files loaded so far, and the data files that each opened meanwhile."""
    return MappingProxyType(_loaded)


def imported_files() -> list[Path]:
    """The files that `load_imports` loaded for this command."""
    return list(_imported)
