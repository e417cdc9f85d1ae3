"""The kernels' native code in a program of its own, built with sanitizers; see native_driver.cc."""

import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from rnnexp.scan.kernels import build
from rnnexp.scan.kernels.cells import CELLS

DRIVER = Path(__file__).with_name("native_driver.cc")
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
TYPES = {"float32": 11, "float64": 12, "int32": 4}
"""XLA's numbers of the types."""
END, FORWARD, BACKWARD, FACTS, OVERRUN, OVERFLOW = range(6)


class Like(NamedTuple):
    """The type and shape of a result; of an argument too, whose memory is then empty."""

    dtype: str
    shape: tuple[int, ...]
    empty: bool = False


def sanitizers_missing(folder: Path, sanitize: Sequence[str] = SANITIZE) -> str:
    """Why nothing can be built with sanitizers here; empty if it can."""
    source = folder / "empty.cc"
    source.write_text("int main() { return 0; }\n")
    try:
        command = [build._compiler(), *sanitize, str(source), "-o", str(folder / "empty")]
    except build.BuildError as error:
        return str(error)
    for step in (command, [str(folder / "empty")]):
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode != 0:
            return f"no sanitizers with {command[0]}: {done.stderr.strip().splitlines()[-1]}"
    return ""


def built(
    folder: Path, cell: str, dtype: str, *options: str, sanitize: Sequence[str] = SANITIZE
) -> Path:
    """The program for a kernel."""
    program = folder / f"{cell}-{dtype}"
    command = [build._compiler(), *build._options(), "-O1", "-g", *sanitize, *options]
    command = [option for option in command if option not in ("-O3", "-shared")]
    command += [f"-DRNNEXP_CELL={CELLS[cell].native}", f"-DRNNEXP_REAL={build.REALS[dtype]}"]
    command += ["-isystem", jax.ffi.include_dir(), "-I", str(build.SOURCES), str(DRIVER)]
    done = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


class Driver:
    """The running program. What the sanitizers say fails the test that made the call."""

    def __init__(self, program: Path, most_bytes: int | None = None):
        limit = ("prlimit", f"--as={most_bytes}") if most_bytes else ()
        self.process = subprocess.Popen(
            [*limit, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ
            | {
                "ASAN_OPTIONS": "detect_leaks=0",
                "UBSAN_OPTIONS": "print_stacktrace=1",
                "TSAN_OPTIONS": "halt_on_error=1",  # its reports would fill the pipe
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.process.communicate(struct.pack("q", END))
        else:
            self.process.communicate()

    def facts(self, hidden_size: int) -> tuple[int, int]:
        """The numbers in a vector, and those saved of an example and step."""
        self._send(FACTS, hidden_size)
        lanes, saved = struct.unpack("2q", self._receive(16))
        return lanes, saved

    def fault(self, kind: int, value: int) -> str:
        """What the sanitizers say of a planted fault."""
        self._send(kind, value)
        return self.process.communicate()[1].decode()

    def call(
        self,
        kind: int,
        arguments: Sequence[np.ndarray | Like],
        results: Sequence[Like],
        *,
        threads: int = 1,
        has_lengths: bool = False,
        norms: bool = False,
        cut_steps: int = 0,
        offset: int = 0,
    ) -> str | list[np.ndarray]:
        """The results of a call, or the handler's error. Buffers lie `offset` bytes off."""
        self._send(kind, threads, has_lengths, norms, cut_steps, offset, len(arguments))
        for array in arguments:
            content = b"" if isinstance(array, Like) else array.tobytes()
            self._send(TYPES[np.dtype(array.dtype).name], len(array.shape), *array.shape)
            self._send(len(content))
            self._write(content)
        self._send(len(results))
        for like in results:
            self._send(TYPES[like.dtype], len(like.shape), *like.shape, _bytes(like))
        (length,) = struct.unpack("q", self._receive(8))
        if length:
            return self._receive(length).decode()
        return [
            np.frombuffer(self._receive(_bytes(like)), like.dtype).reshape(like.shape)
            for like in results
        ]

    def _send(self, *numbers: Any) -> None:
        self._write(struct.pack(f"{len(numbers)}q", *numbers))

    def _write(self, content: bytes) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(content)
            self.process.stdin.flush()
        except BrokenPipeError:
            self._fail()

    def _receive(self, count: int) -> bytes:
        assert self.process.stdout is not None
        content = self.process.stdout.read(count)
        if len(content) < count:
            self._fail()
        return content

    def _fail(self) -> None:
        assert self.process.stderr is not None
        raise AssertionError(self.process.stderr.read().decode() or "the program has ended")


def _bytes(like: Like) -> int:
    return (
        0
        if like.empty
        else int(np.prod(like.shape, dtype=np.int64)) * np.dtype(like.dtype).itemsize
    )
