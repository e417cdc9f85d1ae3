"""The compiled kernels of the table can be built, and a compiler that fails is quoted."""

import ctypes
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from rnnexp.cells.base import hidden_output
from rnnexp.core.files import replace_bytes
from rnnexp.scan.kernels import build
from rnnexp.scan.kernels.cells import CELLS
from rnnexp.train.choose_time_loop import obstacle
from tests.helpers.kernel_cells import VARIANTS, I, config_with, needs_compiler
from tests.helpers.variants import VARIANTS as TABLE
from tests.helpers.variants import build as build_cell
from tests.helpers.variants import variant_id

pytestmark = needs_compiler


@pytest.mark.parametrize("variant", TABLE, ids=variant_id)
def test_every_kernel_of_the_table_can_be_built(variant: Any) -> None:
    cell = build_cell(variant, I, 4)
    if cell.kernel is not None:
        assert cell.kernel in VARIANTS
        assert cell.output is hidden_output
        weights = cell.kernel_weights(cell.init(jax.random.key(0)))
        assert set(weights) == set(CELLS[cell.kernel].weights)


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(build.MARCH, "no-such-processor")
    for cached in (build.load, build.problem):
        cached.cache_clear()
    text = obstacle(config_with(), build_cell(("lstm", {}), 2, 4))
    build.problem.cache_clear()
    assert "no-such-processor" in text
    assert not list((tmp_path / "rnnexp" / "kernels").glob("*.so"))


SMALL = """
extern "C" void *rnnexp_forward(void *) { return nullptr; }
extern "C" void *rnnexp_backward(void *) { return nullptr; }
extern "C" long long rnnexp_saved_size(long long size) { return size + 1; }
"""
"""Stands for a kernel where only files matter, as it is compiled in no time."""


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of kernels, whose libraries are small."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "kernel.cc").write_text(SMALL)
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setattr(build, "_options", lambda: ["-std=c++17", "-O0", "-shared", "-fPIC"])
    monkeypatch.setattr(jax.ffi, "register_ffi_target", lambda *given, **more: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path / "rnnexp" / "kernels"
    for cached in (build.load, build.problem, build._surroundings):
        cached.cache_clear()


def loaded() -> int:
    """What a library says that is loaded anew."""
    for cached in (build.load, build.problem, build._surroundings):
        cached.cache_clear()
    return build.load("tanh", "float32").saved_size(6)


def a_folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def other_content(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Another file takes its place: this process still runs the code of the old one."""
    return lambda file: replace_bytes(file, change(file.read_bytes()))


DAMAGES = {
    "cut": other_content(lambda content: content[:-1]),
    "half": other_content(lambda content: content[: len(content) // 2]),
    "empty": other_content(lambda content: b""),
    "one bit": other_content(
        lambda content: bytes([*content[:-9], content[-9] ^ 1, *content[-8:]])
    ),
    "something else": other_content(lambda content: b"#!/bin/sh\n"),
    "a folder": a_folder_instead,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_library_is_compiled_anew_with_a_line(
    kernels: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """It is never loaded: one that was cut short killed the process, at every later run too."""
    assert loaded() == 7
    (file,) = kernels.glob("*.so")
    before = file.stat().st_mtime_ns
    assert loaded() == 7
    assert file.stat().st_mtime_ns == before  # a whole one is taken
    DAMAGES[damage](file)
    with caplog.at_level(logging.INFO, "rnnexp"):
        assert loaded() == 7
    (line,) = (line for line in caplog.messages if "altered" in line)
    stem = file.stem.rpartition("-")[0]
    assert line == f"compiling {stem} anew: {file} was cut short or altered"
    (again,) = kernels.glob("*.so")
    assert again.is_file()
    assert again.stat().st_mtime_ns > before
    assert {path.name for path in kernels.iterdir()} == {again.name, "lock"}


def test_a_library_and_its_folder_are_the_user_s_alone(kernels: Path) -> None:
    loaded()
    (file,) = kernels.glob("*.so")
    for path in (file, kernels, kernels.parent):
        assert path.stat().st_mode & 0o777 == 0o700


def plant(kernels: Path) -> None:
    kernels.chmod(0o777)


def give_away(kernels: Path) -> None:
    os.chown(kernels, 12345, -1)


def put_a_file_in_the_way(kernels: Path) -> None:
    shutil.rmtree(kernels)
    kernels.write_text("")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (plant, "may be written by its group and all"),
        (give_away, "belongs to another user"),
        (put_a_file_in_the_way, "cannot write"),
    ],
)
def test_without_a_folder_to_trust_it_is_compiled_for_this_process_alone(
    kernels: Path,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Path], None],
    reason: str,
) -> None:
    """A library that lies in the folder is not loaded, though its hash is that of its name."""
    if change is give_away and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    loaded()
    (file,) = kernels.glob("*.so")
    stem = file.stem.rpartition("-")[0]
    content = SMALL.replace("size + 1", "666")
    planted = kernels.parent / "planted.cc"
    planted.write_text(content)
    command = [build._compiler(), *build._options(), "-isystem", jax.ffi.include_dir()]
    subprocess.run([*command, str(planted), "-o", str(planted.with_suffix(".so"))], check=True)
    file.unlink()
    digest = hashlib.sha256(planted.with_suffix(".so").read_bytes()).hexdigest()
    shutil.copy(planted.with_suffix(".so"), kernels / f"{stem}-{digest}.so")
    assert loaded() == 666  # it would be
    change(kernels)
    with caplog.at_level(logging.INFO, "rnnexp"):
        assert loaded() == 7
    (line,) = (line for line in caplog.messages if "for this process alone" in line)
    assert stem in line
    assert str(kernels) in line
    assert reason in line
    assert not list(Path(tempfile.gettempdir()).glob("rnnexp-kernel-*"))


def test_a_library_that_the_system_refuses_is_no_traceback(
    kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a folder mounted without the right to run code."""

    def refuse(path: str) -> None:
        raise OSError(f"{path}: failed to map segment from shared object")

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.raises(build.BuildError, match=r"cannot be loaded: .*failed to map segment"):
        loaded()
