"""Imports point one way, only the command line prints, and rooms stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

LAYERS = [
    [
        "errors",
        "types",
        "trees",
        "tables",
        "modules",
        "files",
        "signals",
        "padding",
        "processor",
        "memory",
        "lapack",
    ],
    ["cells", "data", "kernels", "tasks"],
    ["newton", "parallel", "remat", "unroll", "models"],
    ["gradflow", "optim"],
    [
        "recipe",
        "records",
        "sharding",
        "data_parallel",
        "penalties",
        "objective",
        "step",
        "train",
        "evaluate",
        "spread",
    ],
    [
        "defaults",
        "config",
        "overrides",
        "runlog",
        "arraylog",
        "rowstore",
        "lablog",
        "checkpoint",
        "environment",
        "program_cache",
    ],
    [
        "interventions",
        "kernel_choice",
        "newton_choice",
        "fitting",
        "registry",
        "programs",
        "laboratory",
        "outcome",
        "processes",
        "verdict",
    ],
    ["flight", "journal", "crew", "runner", "sampling", "analysis"],
    ["sweep", "report", "export", "bench"],
    ["progress", "commands", "cli", "__main__"],
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
STRANGERS = [("cells", "tasks"), ("tasks", "cells"), ("data", "tasks"), ("data", "cells")]
SOURCE = Path(__file__).parent.parent / "rnnexp"
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def part_of(path: Path) -> str:
    """The first name below the package: `cells` of `rnnexp/cells/lstm.py`."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The parts of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "rnnexp":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rnnexp."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            names = (alias.name.split(".") for alias in node.names)
            yield from (name[1] for name in names if name[0] == "rnnexp" and len(name) > 1)


def test_every_part_has_its_layer() -> None:
    assert {part_of(path) for path in FILES} == set(LAYER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    for other in imported(path):
        assert LAYER[other] <= LAYER[part], f"{part} imports {other}"
        assert (part, other) not in STRANGERS, f"{part} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_have_docstrings_and_a_bounded_size(path: Path) -> None:
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":", "`."))
    assert text.count("\n") <= 260


def test_only_the_command_line_prints() -> None:
    for path in FILES:
        calls = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        ]
        prints = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
        assert not prints or part_of(path) in ("cli", "commands"), path


def test_public_names_resolve() -> None:
    import rnnexp

    for name in rnnexp.__all__:
        assert getattr(rnnexp, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rnnexp.nothing
