"""Files are replaced whole or not at all, and JSON keeps every float."""

import json
import math
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from rnnexp.core.files import (
    append_text,
    made_beside,
    replace_bytes,
    replace_text,
    scratch_folder,
    to_json,
)


def test_json_keeps_every_float() -> None:
    value = {"a": [math.nan, (math.inf, -math.inf)], 3: {"b": [0.1, 5e-324, None, True, "x"]}}
    plain = json.loads(to_json(value, indent=1), parse_constant=pytest.fail)
    assert plain == {"a": ["NaN", ["Infinity", "-Infinity"]], "3": value[3]}
    assert to_json(np.float64("nan")) == '"NaN"'


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    file.write_text("old")
    replace_text(file, "older")
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]
    full = mock.patch("os.fsync", side_effect=OSError(28, "No space left on device"))
    with full, pytest.raises(OSError, match="No space"):
        replace_text(file, "new")
    assert file.read_text() == "older"
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]
    with pytest.raises(TypeError):
        replace_bytes(file, "no bytes")  # type: ignore[arg-type]
    replace_bytes(file, b"newer")
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]
    assert file.read_text() == "newer"


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "store"

    def fail() -> None:
        with made_beside(target) as part:
            part.mkdir()
            (part / "a").touch()
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail()
    assert names(tmp_path) == []
    with made_beside(target, ".7") as part:
        part.mkdir()
        (part / "a").touch()
        assert names(tmp_path) == [".store.7.part"]
    assert names(tmp_path) == ["store"]
    assert names(target) == ["a"]


def test_what_a_kill_leaves_is_overwritten(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    file = tmp_path / "status.json"
    replace_text(file, "old")

    def be_killed() -> None:
        with made_beside(file) as part:
            part.write_text("a long text that was begun")
            raise Killed

    with pytest.raises(Killed):
        be_killed()
    assert names(tmp_path) == [".status.json.part", "status.json"]
    assert file.read_text() == "old"
    replace_text(file, "new")
    assert names(tmp_path) == ["status.json"]
    assert file.read_text() == "new"


def test_appended_text_is_on_the_disk(tmp_path: Path) -> None:
    with mock.patch("os.fsync") as synced:
        append_text(tmp_path / "lines", "one\n")
        append_text(tmp_path / "lines", "two\n")
    assert synced.call_count == 2
    assert (tmp_path / "lines").read_text() == "one\ntwo\n"


def test_a_scratch_folder_is_removed(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "made").write_text("by another program")
        (folder / "left").touch()
        (folder / "made").rename(tmp_path / "made")
    assert names(tmp_path) == ["made"]
