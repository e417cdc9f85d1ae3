"""Folders for code belong to the user, and nobody else may write to them."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnexp.core.files import cache_dir
from rnnexp.runtime.cache_folder import CacheFolderError, code_folder, distrust


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "made" / "cache"))
    return cache_dir()


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_new_folders_are_the_user_s_alone(cache: Path, tmp_path: Path) -> None:
    folder = code_folder("programs", "of this processor")
    assert folder == cache / "programs" / "of this processor"
    while folder != tmp_path:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder = folder.parent
    assert code_folder("programs", "of this processor").is_dir()


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("bit", [stat.S_IWGRP, stat.S_IWOTH])
def test_a_folder_that_others_may_write_is_refused(cache: Path, level: int, bit: int) -> None:
    folder = code_folder("programs", "here")
    wide = [folder, folder.parent, cache][level]
    wide.chmod(0o755 | bit)
    with pytest.raises(CacheFolderError, match=f"{wide} may be written by") as error:
        code_folder("programs", "here")
    assert "chmod go-w" in str(error.value)
    assert "\n" not in str(error.value)
    wide.chmod(0o755)  # others may read
    assert code_folder("programs", "here") == folder


def test_a_folder_of_another_user_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = code_folder("kernels")
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(CacheFolderError, match=f"{cache} belongs to another user"):
        code_folder("kernels")
    assert "belongs" in distrust(folder)


def test_links_lead_where_the_user_has_a_folder(cache: Path, tmp_path: Path) -> None:
    """What they lead to is held to the same; a link itself is anyone's to read."""
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    cache.mkdir(parents=True)
    (cache / "kernels").symlink_to(target)
    assert code_folder("kernels").resolve() == target.resolve()
    target.chmod(0o777)
    with pytest.raises(CacheFolderError, match="may be written by its group and all"):
        code_folder("kernels")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_links_and_folders_of_strangers_are_refused(cache: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    cache.mkdir(parents=True)
    (cache / "kernels").symlink_to(target)
    os.lchown(cache / "kernels", 12345, -1)
    with pytest.raises(CacheFolderError, match="a link of another user"):
        code_folder("kernels")
    os.lchown(cache / "kernels", 0, -1)
    os.chown(target, 12345, -1)
    with pytest.raises(CacheFolderError, match="belongs to another user"):
        code_folder("kernels")


@pytest.mark.parametrize("thing", ["file", "dangling link"])
def test_what_is_in_the_way_is_said(cache: Path, thing: str) -> None:
    cache.mkdir(parents=True)
    if thing == "file":
        (cache / "kernels").write_text("")
    else:
        (cache / "kernels").symlink_to("nowhere")
    with pytest.raises(CacheFolderError, match=f"cannot write {cache / 'kernels'}: "):
        code_folder("kernels")


def test_every_module_that_makes_a_part_of_the_cache_makes_it_private(root: Path) -> None:
    """One that others may write, made by whoever comes first, would shut out all code."""
    users = [
        path
        for path in (root / "rnnexp").rglob("*.py")
        if "cache_dir()" in path.read_text() and path != root / "rnnexp" / "core" / "files.py"
    ]
    assert users
    assert not [path for path in users if ".mkdir(" in path.read_text()]
