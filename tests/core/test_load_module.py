"""A user's file is loaded by its path, and named if it fails."""

import sys
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


def test_modules_beside_the_file_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "cwd"), *sys.path])
    for folder in ("cwd", "own", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside_mine.py").write_text(f"PLACE = {folder!r}\n")
        (tmp_path / folder / "late_mine.py").write_text(f"PLACE = {folder!r}\n")
        (tmp_path / folder / f"{folder}_cell.py").write_text(
            "from beside_mine import PLACE\n\n\ndef late():\n    import only_here\n"
            "    return only_here.PLACE\n"
        )
    (tmp_path / "own" / "only_here.py").write_text("PLACE = 'late'\n")
    before = list(sys.path)
    module: Any = load_module(str(tmp_path / "own" / "own_cell.py"), "file")
    assert (module.PLACE, module.late()) == ("own", "late")
    assert sys.path == [*before, str(tmp_path / "own")]
    assert caplog.text == ""
    assert load_module(str(tmp_path / "other" / "other_cell.py"), "file").PLACE == "own"
    assert (
        f"from {tmp_path / 'own' / 'beside_mine.py'}, not from {tmp_path / 'other'}" in caplog.text
    )
    for name in ("beside_mine", "only_here"):
        del sys.modules[name]
