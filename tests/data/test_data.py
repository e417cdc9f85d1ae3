"""Data files: the IDX reader, finding and downloading, and facts about the real sets."""

import gzip
import hashlib
import http.server
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import RunError, UsageError
from rnnexp.core.files import cache_dir
from rnnexp.data import digits, files, mnist
from rnnexp.data.files import DataFile
from rnnexp.data.idx import read_idx

CONTENT = bytes(range(256)) * 300
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Serve = Callable[[dict[str, bytes]], str]


def idx_bytes(array: np.ndarray, magic: bytes = b"\0\0\x08") -> bytes:
    """An IDX file's content before compression."""
    sizes = struct.pack(f">{array.ndim}i", *array.shape)
    return magic + bytes([array.ndim]) + sizes + array.tobytes()


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (0, 28, 28)])
def test_an_idx_file_comes_back_as_it_was_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx_bytes(array)))
    read = read_idx(tmp_path / "a.gz")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array, strict=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "begins with b''"),
        (b"\0\0", "not an IDX file"),
        (idx_bytes(np.zeros(4, np.uint8), magic=b"\0\0\x0d"), "not an IDX file of bytes"),
        (idx_bytes(np.zeros(4, np.uint8), magic=b"\1\0\x08"), "not an IDX file of bytes"),
        (b"\0\0\x08\x03" + struct.pack(">ii", 2, 3), "ends inside its IDX header"),
        (idx_bytes(np.zeros((2, 3), np.uint8)) + b"\0", "holds 7 bytes of data; its header says 6"),
        (idx_bytes(np.zeros((2, 3), np.uint8))[:-1], "holds 5 bytes of data; its header says 6"),
        (b"\0\0\x08\x02" + struct.pack(">II", 2**32 - 1, 2**32 - 1) + b"\0", "its header"),
    ],
    ids=["empty", "short", "floats", "magic", "header", "longer", "shorter", "huge"],
)
def test_a_wrong_idx_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "wrong-idx1.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(UsageError, match=words) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_truncated_or_plain_file_is_not_gzip(tmp_path: Path) -> None:
    whole = gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8)))
    for number, content in enumerate([whole[:-20], whole[:8], b"plain", whole[:50] + whole[60:]]):
        path = tmp_path / f"{number}.gz"
        path.write_bytes(content)
        with pytest.raises(UsageError, match="not a complete gzip file") as caught:
            read_idx(path)
        assert str(path) in str(caught.value)


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


@pytest.fixture(scope="module")
def real_mnist() -> dict[str, mnist.Images]:
    """The real sets, from `$RNNEXP_DATA` or `shared/data` beside the checkout."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folders = [Path(f) for f in (os.environ.get("RNNEXP_DATA"), beside) if f]
    for folder in folders:
        if (folder / "mnist" / "train-images-idx3-ubyte.gz").is_file():
            return mnist.load(folder)
    pytest.skip(f"no MNIST files in {' or '.join(map(str, folders))}; set RNNEXP_DATA")


def test_facts_about_mnist(real_mnist: dict[str, mnist.Images]) -> None:
    train, test = real_mnist["train"], real_mnist["test"]
    assert (train.images.shape, train.labels.shape) == ((60_000, 28, 28), (60_000,))
    assert (test.images.shape, test.labels.shape) == ((10_000, 28, 28), (10_000,))
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    train_counts, test_counts = np.bincount(train.labels), np.bincount(test.labels)
    assert train_counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test_counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    share = np.bincount(train.images.ravel(), minlength=256) / train.images.size
    level = np.arange(256) / 255
    mean = float(share @ level)
    assert round(mean, 4) == 0.1307
    assert round(float(share @ (level - mean) ** 2) ** 0.5, 4) == 0.3081


def test_facts_about_digits() -> None:
    images, labels = digits.load()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == labels.dtype == np.uint8
    assert (int(images.min()), int(images.max())) == (0, 16)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
