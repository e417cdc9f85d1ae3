"""A user's file is loaded by its path, and named if it fails."""

from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.core.load_module import load_module


def test_a_file_of_the_users_is_loaded_by_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from dataclasses import dataclass\nx = 3\n@dataclass\nclass A:\n    y: int\n")
    module: Any = load_module(str(file), "imported file")
    assert (module.x, module.A(2).y) == (3, 2)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("mine.py", "raise RuntimeError('no luck')", "mine.py: RuntimeError: no luck"),
        ("mine.py", "import no_such_module", "ModuleNotFoundError: No module named"),
        ("mine.py", "def f(:", "SyntaxError"),
        ("mine.py", "from rnnexp.core.errors import *; raise UsageError('as it is')", "as it is"),
        ("mine.txt", "x = 1", "is not a Python file"),
        ("mine", "x = 1", "is not a Python file"),
    ],
)
def test_a_file_that_fails_is_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content + "\n")
    with pytest.raises(UsageError) as caught:
        load_module(str(tmp_path / name), "imported file")
    assert words in str(caught.value)
    assert words == "as it is" or str(tmp_path / name) in str(caught.value)


def test_a_missing_file_is_named_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "other.py").touch()
    with pytest.raises(UsageError, match=r"no imported file '.*mine\.py'.*other\.py"):
        load_module(str(tmp_path / "mine.py"), "imported file")
    with pytest.raises(UsageError, match=r"mine\.py'.*: none"):
        load_module(str(tmp_path / "nowhere" / "mine.py"), "imported file")
    with pytest.raises(UsageError, match="no imported file"):
        load_module(str(tmp_path), "imported file")
