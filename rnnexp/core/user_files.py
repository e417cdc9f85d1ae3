"""The user's own files that take part in a run: the code, and the data that it opens.

Installed packages and the standard library are not among them: the versions of packages are
part of a run's environment.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

CODE = (".py", ".pyc", ".pyi", ".pyd", ".so", ".pth", ".dll", ".dylib")
METADATA = (".egg-info", ".dist-info")
"""Endings of folders in which packages that are installed from sources describe themselves."""
SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/lib/", "/lib64/")
MEMORY = "/dev/shm/"
"""A place for files of the user's among those of the system."""
HOME = str(Path(__file__).parents[1])
"""The folder of this package."""

_recorders: list[dict[str, bool]] = []
"""For each recording the paths so far, and whether they were declared."""
_has_hook = False


def code_files(root: Path) -> dict[str, Path]:
    """A Python file and all files that it imports, directly or not, unless they are installed.

    Import statements count wherever they stand, inside functions too; a package counts with all
    its Python files. A module that is imported by a name computed at run time is not seen. If
    `root` itself is installed, as that of a plug-in, its package counts.

    Returns:
      The files by name: their path relative to the folder of `root`.
    """
    root = root.absolute()
    waiting, found, known = [root], set[Path](), set[str]()
    if (root.parent / "__init__.py").exists() and is_installed(str(root)):
        waiting += _python_files(_top_package(root))
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            for name in imported_names(file):
                key = name or str(_top_package(file))
                if key not in known:
                    known.add(key)
                    waiting += _module_files(name) if name else _python_files(Path(key))
    return {os.path.relpath(file, root.parent): file for file in sorted(found)}


def imported_names(file: Path) -> tuple[str, ...]:
    """The outermost modules that a file's import statements name; "" is its own package."""
    try:
        status = file.stat()
        return _parsed_names(str(file), status.st_mtime_ns, status.st_size)
    except (OSError, SyntaxError, ValueError):
        return ()  # whoever loads the file says what is wrong with it


@lru_cache(maxsize=4096)
def _parsed_names(path: str, mtime_ns: int, size: int) -> tuple[str, ...]:
    """`imported_names` of a file as it was when it had that time and size."""
    import ast  # slow to import, and few runs have code of the user's

    del mtime_ns, size
    names: dict[str, None] = {}
    for node in ast.walk(ast.parse(Path(path).read_bytes())):
        if isinstance(node, ast.Import):
            names |= dict.fromkeys(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names["" if node.level else str(node.module).partition(".")[0]] = None
    return tuple(names)


def _module_files(name: str) -> list[Path]:
    """The files of a module, or of a package with all that it holds; none if it is installed."""
    try:
        spec = sys.modules[name].__spec__ if name in sys.modules else importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        spec = None
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        folders = [Path(place) for place in spec.submodule_search_locations]
        return [
            f for folder in folders if not is_installed(str(folder)) for f in _python_files(folder)
        ]
    own = spec.origin is not None and spec.origin.endswith(".py") and not is_installed(spec.origin)
    return [Path(str(spec.origin)).absolute()] if own else []


def _top_package(file: Path) -> Path:
    """The folder of the outermost package that holds a file."""
    folder = file.parent
    while (folder.parent / "__init__.py").exists():
        folder = folder.parent
    return folder


def _python_files(folder: Path) -> list[Path]:
    return sorted(file.absolute() for file in folder.rglob("*.py") if file.is_file())


@cache
def _installed() -> tuple[str, ...]:
    """The folders of the standard library, of installed packages, and of this one."""
    import site
    import sysconfig

    paths = sysconfig.get_paths()
    found = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [*site.getsitepackages(), site.getusersitepackages(), HOME]
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    found += [f"{prefix}/{part}" for prefix in prefixes for part in ("lib", "share", "include")]
    return tuple(dict.fromkeys(os.path.realpath(path) + os.sep for path in found))


def is_installed(path: str) -> bool:
    """Whether a path lies in the standard library, among installed packages or in rnnexp."""
    return (os.path.realpath(path) + os.sep).startswith(_installed())


def is_part_of_rnnexp(path: str) -> bool:
    """Whether a path lies in this package's folder."""
    return os.path.realpath(path).startswith(os.path.realpath(HOME) + os.sep)


@contextmanager
def opened_files() -> Iterator[set[Path]]:
    """A set that holds, when the body has ended, the data files that Python opened in it.

    Read or written anew; files that are appended to are not data. Code, files of the system
    and of installed packages, and hidden folders of the user (caches, settings) are left out. A
    library that opens files without Python's `open` is not seen: see `data_file`.
    """
    global _has_hook
    if not _has_hook:
        sys.addaudithook(_on_event)  # it cannot be removed; without a recorder it does nothing
        _has_hook = True
    opened, found = dict[str, bool](), set[Path]()
    _recorders.append(opened)
    try:
        yield found
    finally:
        _recorders.remove(opened)
        found |= {Path(path) for path, declared in opened.items() if declared or _is_data(path)}


def data_file(path: Path | str) -> Path:
    """Declare a data file that a task or a cell reads by a library of its own, such as HDF5.

    Its content becomes part of what the run is, as that of every file that is opened by Python's
    `open`. Call it in the factory of the task or cell, or while its module is loaded.
    """
    for opened in _recorders:
        opened[os.path.abspath(path)] = True
    return Path(path)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook: note what `open` is called for. It must not raise."""
    if not _recorders or event != "open":
        return
    path, _, flags = arguments
    if isinstance(path, bytes | str) and isinstance(flags, int) and _counts(flags):
        for opened in _recorders:
            opened.setdefault(os.path.abspath(os.fsdecode(path)), False)


def _counts(flags: int) -> bool:
    """Whether a file is opened to be read, or to be written from its start."""
    return flags & os.O_ACCMODE == os.O_RDONLY or flags & (os.O_TRUNC | os.O_EXCL) != 0


def _is_data(path: str) -> bool:
    """Whether an opened path is a file of the user's that holds neither code nor settings."""
    if path.endswith(CODE) or is_installed(path) or not os.path.isfile(path):
        return False
    if any(part.endswith(METADATA) for part in Path(path).parts):
        return False
    if path.startswith(SYSTEM) and not path.startswith(MEMORY):
        return False
    home = os.path.expanduser("~")
    caches = [os.environ.get(name) for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME")]
    hidden = f"{home}/.", *(f"{place}/" for place in caches if place)
    return not path.startswith(hidden)
