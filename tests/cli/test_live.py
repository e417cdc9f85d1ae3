"""The live area, drawn on a pseudo-terminal by a process of its own."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time

import pytest

from rnnexp.cli.live import Column, fitting

PROGRAM = """
import logging, sys, time, warnings
from pathlib import Path
from rich.console import Console
from rnnexp.cli.live import is_live
from rnnexp.cli.progress import LiveProgress, PlainProgress

logging.basicConfig(format="LOG %(message)s")
other = logging.getLogger("other")
other.propagate = False
other.addHandler(logging.StreamHandler(sys.stderr))
scalars = {"loss": 0.0123, "grad_norm": 1.5, "slope/layer_0/c": 0.1, "half_life/layer_0/c": 9.0,
           "slope/layer_0/h": -0.0693147, "half_life/layer_0/h": 10.0}
console = Console()
progress = (LiveProgress if is_live(console) else PlainProgress)(console)
progress.open()
time.sleep(0.4)
progress.started(Path("runs/adding/lstm/x"), 0, 1000)
time.sleep(0.4)
for step in range(100, 701, 100):
    progress.advanced(step, scalars)
    time.sleep(0.3)
    if step == 300:
        warnings.warn("A WARNING")
        logging.error("AN ERROR")
        other.error("ANOTHER LIBRARY")
        print("PRINTED", end=" "), print("IN PARTS")
progress.evaluated("valid", 700, {"loss": 0.5})
progress.close()
print("AFTER", type(sys.stderr).__name__)
"""
ABOVE = ("A WARNING", "LOG AN ERROR", "ANOTHER LIBRARY", "PRINTED IN PARTS", "valid: loss 0.5")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BEGIN = re.compile(r"\r\x1b\[2K")


def on_terminal(columns: int, **variables: str) -> str:
    """What the program writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    environment |= {"TERM": "xterm", **variables}
    command = [sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait(10) == 0
    return written.decode()


def drawn(written: str) -> list[str]:
    """The live lines: what follows each `erase line` up to the line's end."""
    parts = [CONTROL.sub("", part) for part in BEGIN.split(written)[1:]]
    return [line for line in (p.splitlines()[-1] if p.splitlines() else "" for p in parts) if line]


@pytest.mark.parametrize(
    ("columns", "shown", "left_out"),
    [
        (40, ("700/1000", "loss 0.0123", " left"), ("half-life", "slope", "steps/s", "|grad|")),
        (60, ("700/1000", "loss 0.0123", "half-life 10 steps", " left"), ("slope", "steps/s")),
        (80, ("700/1000", "half-life 10 steps", "slope -0.069", " left"), ("|grad|",)),
        (200, ("700/1000", "half-life 10 steps", "slope -0.069", "steps/s", "|grad| 1.5"), ()),
    ],
)
def test_the_live_line_fits_and_nothing_writes_into_it(
    columns: int, shown: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    written = on_terminal(columns)
    lines = drawn(written)
    assert any("preparing the data" in line for line in lines)
    assert any("compiling the training" in line for line in lines)
    last = [line for line in lines if "700/1000" in line][-1]
    assert all(text in last for text in shown)
    assert not any(text in last for text in left_out)
    assert max(len(line) for line in lines if "/1000" in line) <= columns
    plain = CONTROL.sub("", BEGIN.sub("\n", written)).replace("\r", "")
    for text in ABOVE:
        (line,) = (line for line in plain.splitlines() if text in line)
        assert "/1000" not in line
    assert plain.count("slope: of ln ||dL/dh_t||") == 1
    assert "AFTER TextIOWrapper" in plain


def test_variables_do_not_make_a_pipe_a_terminal() -> None:
    environment = os.environ | {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment
    )
    assert "\x1b[2K" not in done.stdout
    assert "/1000" not in done.stdout
    assert "starting, 1000 steps in all" in CONTROL.sub("", done.stdout)
    assert all(text in done.stdout + done.stderr for text in ABOVE)


def test_a_terminal_without_control_sequences_gets_plain_lines() -> None:
    written = on_terminal(80, TERM="dumb")
    assert "\x1b[2K" not in written
    assert "starting, 1000 steps in all" in written


def test_the_least_important_columns_are_left_out_first() -> None:
    row = [Column(2, 10, "c"), Column(0, 10, "a"), Column(1, 10, "b"), Column(3, 2, "d")]
    assert fitting([row], 38) == [0, 1, 2, 3]
    assert fitting([row], 37) == [0, 1, 2]
    assert fitting([row], 33) == [1, 2, 3]  # a narrower one takes the place
    assert fitting([row], 5) == [1]
    wide = [Column(2, 10, "c"), Column(0, 20, "a"), Column(1, 10, "b"), Column(3, 2, "d")]
    assert fitting([row, wide], 40) == [1, 2, 3]
