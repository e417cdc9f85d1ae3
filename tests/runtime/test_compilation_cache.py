"""Compiled programs are kept between processes: where, which of them, and that they do the same."""

import logging
import os
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from rnnexp.runtime import compilation_cache as kept_programs
from rnnexp.runtime.compilation_cache import (
    CHECKED,
    VerifiedEntries,
    keep_programs,
    programs_dir,
    tidy,
)
from rnnexp.scan.kernels import build
from rnnexp.train.compiled import Programs
from rnnexp.train.plan import make_plan
from tests.helpers.cache_variables import OURS
from tests.helpers.small_run import small_config

SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_enable_compilation_cache",
    "jax_persistent_cache_min_compile_time_secs",
)
CONFIG: Any = jax.config


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of a user who has said nothing of JAX's cache."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    yield tmp_path / "cache"
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def hits_of(function: Any) -> tuple[Any, int]:
    """What a function returns, and how many programs were found in the cache meanwhile."""
    hits = []

    def listen(event: str, **_: Any) -> None:
        if event.endswith("/cache_hits"):
            hits.append(event)

    jax.monitoring.register_event_listener(listen)
    try:
        return function(), len(hits)
    finally:
        jax.monitoring.unregister_event_listener(listen)


def trained(**changes: Any) -> Any:
    """State and records after a chunk, compiled anew or found in the cache."""
    jax.clear_caches()
    programs = Programs(make_plan(small_config(**changes), data_dir=None, chunk_steps=4))
    state, records = programs.advance(programs.initial(), 4, 1)
    assert programs.compilations == 1
    return jax.device_get((state.params, records.scalars, records.norms))


@pytest.mark.parametrize("kernel", ["scan", "compiled"])
def test_a_program_that_was_kept_gives_the_same_bits(fresh: Path, kernel: str) -> None:
    if kernel == "compiled" and build.problem("lstm", "float32"):
        pytest.skip("no C++ compiler to build the kernels")
    keep_programs()
    cold, hits = hits_of(lambda: trained(model__kernel=kernel))
    assert hits == 0
    names = {file.name.partition("-")[0] for file in programs_dir().glob("*-cache")}
    assert "jit_chunk" in names
    warm, hits = hits_of(lambda: trained(model__kernel=kernel))
    assert hits >= len(names)
    jax.tree.map(np.testing.assert_array_equal, cold, warm)


def test_what_the_user_has_set_stands(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    keep_programs()
    assert not fresh.exists()
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    jax.config.update("jax_enable_compilation_cache", False)
    keep_programs()
    assert not fresh.exists()
    assert CONFIG.jax_compilation_cache_dir is None


def test_a_folder_that_cannot_be_written_is_said_so_once(
    fresh: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fresh.write_text("a file is in the way")
    with caplog.at_level(logging.INFO, "rnnexp"):
        keep_programs()
    (line,) = caplog.messages
    assert line.startswith(f"compiled programs are not kept: cannot write {programs_dir()}")
    assert CONFIG.jax_compilation_cache_dir is None


def entry(folder: Path, name: str, content: bytes, age_s: float) -> Path:
    file = folder / f"{name}-cache"
    file.write_bytes(content)
    date = time.time() - age_s
    os.utime(file, (date, date))
    return file


def test_entries_cut_short_are_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    packed = zlib.compress(os.urandom(1000))
    whole = entry(tmp_path, "whole", packed, 60)
    cut = entry(tmp_path, "cut", packed[:-1], 60)
    empty = entry(tmp_path, "empty", b"", 60)
    being_written = entry(tmp_path, "young", packed[:500], 0)
    with caplog.at_level(logging.INFO, "rnnexp"):
        tidy(tmp_path)
    assert whole.exists()
    assert being_written.exists()
    assert not cut.exists()
    assert not empty.exists()
    assert len(caplog.messages) == 2
    old = entry(tmp_path, "old", packed[:-1], 3600)
    tidy(tmp_path)
    assert old.exists()  # of the time before the last look: not read again
    (tmp_path / CHECKED).unlink()
    tidy(tmp_path)
    assert not old.exists()


def test_the_entries_not_used_for_longest_make_room(tmp_path: Path) -> None:
    packed = zlib.compress(os.urandom(1000))
    files = [entry(tmp_path, str(age), packed, age) for age in (30, 10, 20)]
    date = time.time()
    os.utime(files[0], (date, files[0].stat().st_mtime))  # the oldest, but read just now
    tidy(tmp_path, largest_bytes=2 * len(packed))
    assert [file.exists() for file in files] == [True, True, False]


def test_other_processors_have_other_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    here = programs_dir()
    monkeypatch.setattr(kept_programs, "processor", lambda: "flags: none")
    assert programs_dir().parent == here.parent
    assert programs_dir() != here


@pytest.mark.parametrize(
    ("flags", "given", "level"),
    [("avx2 avx512f", None, "3"), ("avx512f", "1", "3"), ("avx512f", "0", "0"), ("avx2", "1", "1")],
)
def test_xla_s_false_alarm_is_kept_from_the_user(
    monkeypatch: pytest.MonkeyPatch, flags: str, given: str | None, level: str
) -> None:
    monkeypatch.setattr(kept_programs, "processor", lambda: f"flags: {flags}")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", given or "1")
    if given is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    keep_programs()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == level


def compiled_anew() -> tuple[float, int]:
    """What a program gives that is compiled or found in the cache, and how many were found."""
    jax.clear_caches()
    compilation_cache.reset_cache()

    def run() -> float:
        function = jax.jit(lambda x: jnp.sin(x) * 3)
        return float(function(jnp.ones(3))[0])

    return hits_of(run)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda entry: b"",
    "half": lambda entry: entry[: len(entry) // 2],
    "its last byte": lambda entry: entry[:-1],
    "one bit": lambda entry: entry[:100] + bytes([entry[100] ^ 1]) + entry[101:],
    "another content that unpacks": lambda entry: zlib.compress(b"\0\0\0\1 no program"),
    "two entries": lambda entry: entry + entry,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_programs_are_compiled_anew_with_one_line(
    fresh: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """Whatever their dates are: an entry of which one bit had changed killed the process."""
    keep_programs()
    cold, _ = compiled_anew()
    entries = sorted(programs_dir().glob("jit__lambda*-cache"))
    whole = [entry.read_bytes() for entry in entries]
    assert entries
    for entry in entries:
        date = entry.stat().st_mtime
        entry.write_bytes(DAMAGES[damage](entry.read_bytes()))
        os.utime(entry, (date, date))
    with caplog.at_level(logging.INFO, "rnnexp"):
        assert compiled_anew()[0] == cold
    lines = [line for line in caplog.messages if "compiling anew" in line]
    assert len(lines) == len(entries)
    assert str(entries[0]) in lines[0]
    warm, hits = compiled_anew()
    assert warm == cold
    assert hits >= len(entries)
    assert [len(entry.read_bytes()) for entry in entries] == pytest.approx(
        list(map(len, whole)), 64
    )


def test_what_cannot_be_written_or_read_is_said_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = VerifiedEntries(tmp_path)
    entries.put("key", b"content")
    entries.put("key", b"whoever was first stays")
    assert entries.get("key") == b"content"
    assert entries.get("no such key") is None
    assert [file.name for file in tmp_path.iterdir()] == ["key-cache"]
    assert not caplog.messages
    (tmp_path / "folder-cache").mkdir()
    gone = VerifiedEntries(tmp_path / "gone")
    with caplog.at_level(logging.INFO, "rnnexp"):
        assert entries.get("folder") is None
        gone.put("key", b"content")
        gone.put("another", b"content")
    unread, unwritten = caplog.messages
    assert "folder-cache: Is a directory" in unread
    assert unwritten.endswith("gone/key-cache: No such file or directory")


def test_a_folder_that_others_may_write_is_not_used(
    fresh: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep_programs()
    assert programs_dir().is_dir()
    CONFIG.update("jax_compilation_cache_dir", None)
    programs_dir().chmod(0o777)
    with caplog.at_level(logging.INFO, "rnnexp"):
        keep_programs()
    (line,) = caplog.messages
    assert line.startswith(f"compiled programs are not kept: {programs_dir()} may be written by")
    assert CONFIG.jax_compilation_cache_dir is None


def test_a_folder_of_the_user_s_choice_is_used_and_a_risk_is_said(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(shared))
    with caplog.at_level(logging.INFO, "rnnexp"):
        keep_programs()
    (line,) = caplog.messages
    assert line.startswith(f"JAX_COMPILATION_CACHE_DIR: {shared} may be written by")


def test_a_jax_without_the_way_in_keeps_nothing(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr("jax._src.compilation_cache.get_file_cache")
    with caplog.at_level(logging.INFO, "rnnexp"):
        keep_programs()
    assert "compiled programs are not kept: this version of JAX" in caplog.text
    assert CONFIG.jax_compilation_cache_dir is None


def test_what_is_no_entry_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder-cache").mkdir()
    (tmp_path / "dangling-cache").symlink_to("nowhere")
    os.utime(tmp_path / "folder-cache", (time.time() - 60,) * 2)
    cut = entry(tmp_path, "cut", b"", 60)
    tidy(tmp_path)
    assert not cut.exists()


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    old, young = tmp_path / ".a-cache.1.part", tmp_path / ".b-cache.2.part"
    for file, age_s in ((old, 3600), (young, 0)):
        file.write_bytes(b"half")
        os.utime(file, (time.time() - age_s,) * 2)
    tidy(tmp_path)
    assert not old.exists()
    assert young.exists()
