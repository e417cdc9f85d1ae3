"""Data files are found in order, verified, and downloaded from the first mirror that works."""

import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rnnexp.core.errors import RunError, UsageError
from rnnexp.core.files import cache_dir
from rnnexp.data import files
from rnnexp.data.files import DataFile

CONTENT = bytes(range(256)) * 300
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Serve = Callable[[dict[str, bytes]], str]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no `$RNNEXP_DATA`, no proxy."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("RNNEXP_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "xdg" / "rnnexp"


def put(folder: Path, content: bytes = CONTENT) -> Path:
    """The test's data file below a folder."""
    path = folder / "set" / "f.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def data_file(*urls: str) -> DataFile:
    """The test's data file and its mirrors."""
    return DataFile("set/f.bin", SHA256, urls)


def stored(cache: Path) -> list[Path]:
    """Every file in the cache, temporary ones included."""
    return [p.relative_to(cache) for p in cache.rglob("*") if p.is_file()]


def test_a_file_is_looked_for_in_order(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, environment, in_cache = tmp_path / "given", tmp_path / "environment", put(cache)
    assert files.find(data_file(), given) == in_cache
    in_environment = put(environment)
    assert files.find(data_file(), given) == in_cache
    monkeypatch.setenv("RNNEXP_DATA", str(environment))
    assert files.find(data_file(), given) == in_environment
    in_given = put(given)
    assert files.find(data_file(), given) == in_given
    assert files.find(data_file()) == in_environment


def test_the_cache_is_below_the_home_folder_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/somewhere")
    assert cache_dir() == Path("/somewhere/.cache/rnnexp")


def test_a_corrupted_file_is_named_with_both_checksums(tmp_path: Path, cache: Path) -> None:
    put(cache)
    path = put(tmp_path / "given", CONTENT[:-1] + b"\0")
    with pytest.raises(UsageError, match="damaged") as caught:
        files.find(data_file(), tmp_path / "given")
    for part in (str(path), SHA256, hashlib.sha256(path.read_bytes()).hexdigest()):
        assert part in str(caught.value)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answers paths with raw bytes from a server on this machine; 404 for all others."""
    servers = []

    def start(answers: dict[str, bytes]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.wfile.write(answers.get(self.path, b"HTTP/1.0 404 Not Found\r\n\r\n"))

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def answer(content: bytes, length: int | None = None) -> bytes:
    """A whole HTTP response."""
    size = len(content) if length is None else length
    return f"HTTP/1.0 200 OK\r\nContent-Length: {size}\r\n\r\n".encode() + content


CHUNKED_AND_CUT = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff00\r\n" + CONTENT[:99]


def test_a_download_is_verified_and_kept(cache: Path, serve: Serve) -> None:
    url = serve({"/f": answer(CONTENT)})
    path = files.find(data_file(f"{url}/f"))
    assert path == cache / "set" / "f.bin"
    assert path.read_bytes() == CONTENT
    assert stored(cache) == [Path("set/f.bin")]
    assert files.find(data_file("http://127.0.0.1:1/never-asked")) == path


def test_a_download_with_a_wrong_checksum_leaves_nothing(cache: Path, serve: Serve) -> None:
    url = serve({"/f": answer(CONTENT + b"?")})
    with pytest.raises(UsageError, match=SHA256):
        files.find(data_file(f"{url}/f"))
    assert stored(cache) == []


@pytest.mark.parametrize(
    "first",
    [None, answer(CONTENT[:-1]), answer(CONTENT[:9], len(CONTENT)), CHUNKED_AND_CUT, b"hi\r\n"],
    ids=["missing", "wrong", "cut", "chunked and cut", "not http"],
)
def test_the_second_mirror_is_used_when_the_first_fails(
    cache: Path, serve: Serve, first: bytes | None
) -> None:
    bad = serve({} if first is None else {"/f": first})
    good = serve({"/f": answer(CONTENT)})
    path = files.find(data_file(f"{bad}/f", f"{good}/f"))
    assert path.read_bytes() == CONTENT
    assert stored(cache) == [Path("set/f.bin")]


def test_without_a_copy_or_a_mirror_the_places_are_listed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/f"
    monkeypatch.setenv("RNNEXP_DATA", str(tmp_path / "environment"))
    with pytest.raises(UsageError) as caught:
        files.find(data_file(url), tmp_path / "given")
    for folder in (tmp_path / "given", tmp_path / "environment", cache):
        assert str(folder / "set" / "f.bin") in str(caught.value)
    assert url in str(caught.value)
    assert stored(cache) == []


def test_a_cache_that_cannot_be_written_is_a_run_error(cache: Path, serve: Serve) -> None:
    url = serve({"/f": answer(CONTENT)})
    cache.parent.write_text("a file where a folder should be")
    with pytest.raises(RunError, match="cannot store"):
        files.find(data_file(f"{url}/f"))


def test_a_download_makes_the_cache_folder_for_the_user_alone(cache: Path, serve: Serve) -> None:
    """Whatever the umask is: code is kept beside the data."""
    before = os.umask(0)
    try:
        files.find(data_file(serve({"/f": answer(CONTENT)}) + "/f"))
    finally:
        os.umask(before)
    for folder in (cache / "set", cache):
        assert folder.stat().st_mode & 0o777 == 0o700


def packed(content: bytes = CONTENT, name: str = "inside/f.bin") -> bytes:
    """A gzipped tar file with the test's data file and another before it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for path, data in (("inside/other", b"-"), (name, content)):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def in_archive(content: bytes, *urls: str) -> DataFile:
    """The test's data file, as a member of an archive of that content."""
    archive = DataFile("set/all.tar.gz", hashlib.sha256(content).hexdigest(), urls)
    return DataFile("set/f.bin", SHA256, [], archive=archive, member="inside/f.bin")


def test_a_file_comes_from_its_archive_once(
    tmp_path: Path, cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed()
    file = in_archive(archive, serve({"/all": answer(archive)}) + "/all")
    path = files.find(file)
    assert path == cache / "set" / "f.bin"
    assert path.read_bytes() == CONTENT
    assert sorted(stored(cache)) == [Path("set/all.tar.gz"), Path("set/f.bin")]
    monkeypatch.setattr(files, "unpack", None)  # what is there already is not unpacked again
    assert files.find(file) == path
    put(tmp_path / "given")
    assert files.find(file, tmp_path / "given") == tmp_path / "given" / "set" / "f.bin"


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (packed(name="f.bin"), "all.tar.gz does not have inside/f.bin"),
        (packed(CONTENT[:-1]), f"SHA-256 .*, expected {SHA256}"),
        (packed()[:-30], "cannot read the archive .*all.tar.gz"),
        (b"no archive", "cannot read the archive"),
    ],
    ids=["missing", "wrong", "cut", "not tar"],
)
def test_an_archive_that_does_not_have_the_file_is_named(
    tmp_path: Path, cache: Path, archive: bytes, words: str
) -> None:
    given = tmp_path / "given" / "set" / "all.tar.gz"
    given.parent.mkdir(parents=True)
    given.write_bytes(archive)
    with pytest.raises(UsageError, match=words):
        files.find(in_archive(archive), tmp_path / "given")
    assert stored(cache) == []


def test_without_a_copy_or_an_archive_the_places_of_both_are_listed(
    tmp_path: Path, cache: Path, serve: Serve
) -> None:
    url = serve({}) + "/all"
    with pytest.raises(UsageError, match=r"no copy of set/f\.bin") as caught:
        files.find(in_archive(packed(), url), tmp_path / "given")
    for name in ("f.bin", "all.tar.gz"):
        for folder in (tmp_path / "given", cache):
            assert str(folder / "set" / name) in str(caught.value)
    assert url in str(caught.value)
