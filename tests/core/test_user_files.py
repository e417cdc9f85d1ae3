"""Which files of the user's code and data take part, and which do not."""

import importlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.user_files import code_files, data_file, is_installed, opened_files


def write(folder: Path, **files: str) -> None:
    """Python files by name; `IN` stands for a slash."""
    for name, text in files.items():
        path = folder / f"{name.replace('IN', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_code_counts_with_all_that_it_imports_from_outside_installed_packages(folder: Path) -> None:
    write(
        folder,
        uf_root="import numpy, os, uf_one\nimport jax.numpy as jnp\nfrom uf_pack import part\n",
        uf_one="def f():\n    import uf_two  # noqa\n",
        uf_two="import uf_root",
        uf_packIN__init__="",
        uf_packINpart="from . import other",
        uf_packINdeepINleaf="x = 1",
        uf_unused="x = 1",
    )
    (folder / "uf_pack" / "other.py").touch()
    assert list(code_files(folder / "uf_root.py")) == [
        "uf_one.py", "uf_pack/__init__.py", "uf_pack/deep/leaf.py", "uf_pack/other.py",
        "uf_pack/part.py", "uf_root.py", "uf_two.py",
    ]  # fmt: skip


def test_code_elsewhere_on_the_path_has_a_relative_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "lib", uf_far="x = 1")
    write(folder / "own", uf_near="import uf_far")
    monkeypatch.syspath_prepend(folder / "lib")
    assert list(code_files(folder / "own" / "uf_near.py")) == ["../lib/uf_far.py", "uf_near.py"]


def test_a_file_that_cannot_be_parsed_counts_alone(folder: Path) -> None:
    write(folder, uf_bad="import (")
    assert list(code_files(folder / "uf_bad.py")) == ["uf_bad.py"]


def test_what_is_installed() -> None:
    assert is_installed(np.__file__)
    assert is_installed(json.__file__)
    assert is_installed(sys.modules["rnnexp"].__file__ or "")
    assert not is_installed(__file__)


def test_data_are_files_that_are_read_or_written_anew(tmp_path: Path) -> None:
    for name in ("read.csv", "loaded.npy", "before.csv"):
        np.save(tmp_path / name, np.arange(3.0))
        os.replace(tmp_path / f"{name}.npy", tmp_path / name) if name[-3:] != "npy" else None
    with opened_files() as found:
        (tmp_path / "read.csv").read_bytes()
        np.load(tmp_path / "loaded.npy")
        (tmp_path / "made.txt").write_text("kept for the next time")
        with (tmp_path / "log.txt").open("a") as stream:
            stream.write("a line")
        (tmp_path / "gone.txt").write_text("x")
        (tmp_path / "gone.txt").unlink()
        (tmp_path / "code.py").write_text("x = 1")
        importlib.import_module("json.tool")
        Path("/proc/self/status").read_text()
        os.listdir(tmp_path)
        (tmp_path / "mine.egg-info").mkdir()
        (tmp_path / "mine.egg-info" / "PKG-INFO").write_text("a version")
    (tmp_path / "before.csv").read_bytes()
    assert {path.name for path in found} == {"read.csv", "loaded.npy", "made.txt"}


def test_hidden_files_of_the_user_are_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "fonts.json").write_text("{}")
    with opened_files() as found:
        (tmp_path / ".cache" / "fonts.json").read_text()
    assert not found
    with opened_files() as found:
        data_file(tmp_path / ".cache" / "fonts.json")
    assert {path.name for path in found} == {"fonts.json"}


def test_recordings_nest(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    with opened_files() as outer:
        (tmp_path / "a").read_bytes()
        with opened_files() as inner:
            data_file(str(tmp_path / "b"))
        (tmp_path / "c").read_bytes()
    assert {path.name for path in inner} == {"b"}
    assert {path.name for path in outer} == {"a", "b", "c"}
