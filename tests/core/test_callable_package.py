"""Packages that are public functions too, and what the public names tell a type checker."""

import ast
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import rnnexp
from rnnexp.api import read, train


@pytest.mark.parametrize(
    ("name", "function"), [("run", train.run), ("sweep", train.sweep), ("report", read.report)]
)
def test_a_package_is_called_as_the_function_of_its_name(name: str, function: object) -> None:
    package: Any = getattr(rnnexp, name)
    assert issubclass(type(package), ModuleType)
    assert rnnexp.public(name) is function
    assert inspect.signature(package) == inspect.signature(function)
    with pytest.raises(TypeError, match=rf"{name}\(\) got an unexpected keyword argument 'wrong'"):
        package(wrong=1)


def test_modules_of_such_a_package_are_imported_as_ever() -> None:
    import rnnexp.run.files as files
    from rnnexp.run import callbacks

    assert files.ENDED
    assert callbacks.Callbacks is rnnexp.Callbacks


def test_type_checkers_are_told_of_every_public_name_and_no_other() -> None:
    tree = ast.parse(Path(rnnexp.__file__).read_text())
    [told, *_] = [node for node in tree.body if isinstance(node, ast.If)]
    homes = {
        alias.asname: node.module
        for node in ast.walk(told)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert homes == rnnexp._HOMES


def test_a_mistyped_name_is_told_the_one_that_is_meant() -> None:
    with pytest.raises(AttributeError, match="'lod_runs'; did you mean 'load_runs'"):
        _ = rnnexp.lod_runs  # type: ignore[attr-defined]
