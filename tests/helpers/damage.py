"""Ways in which a file of a run can be damaged, and commands that meet the damage."""

import contextlib
import io
import json
import os
import random
import shutil
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from rnnexp.cli.main import main

NOBODY = 65534
"""A user without privileges, as whom permissions are tested if the tests run as root."""


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    if content:
        content[random.Random(len(content)).randrange(len(content))] ^= 4
    file.write_bytes(content)


def _retype(value: object) -> Callable[[Path], None]:
    """Replace a JSON file's content, or a middle line of a file of JSON lines."""

    def damage(file: Path) -> None:
        text = json.dumps(value)
        lines = file.read_text().splitlines() if file.suffix == ".jsonl" else []
        if len(lines) > 2:
            lines[len(lines) // 2] = text
            text = "\n".join(lines) + "\n"
        file.write_text(text)

    return damage


def _inner(replace: object) -> Callable[[Path], None]:
    """Give every value of a JSON object another type, in each line of a file of JSON lines."""

    def damage(file: Path) -> None:
        lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
        objects = [json.loads(line) for line in lines]
        changed = [dict.fromkeys(o, replace) if isinstance(o, dict) else o for o in objects]
        file.write_text("".join(json.dumps(o) + "\n" for o in changed))

    return damage


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": lambda file: os.truncate(file, 0),
    "half": _half,
    "bit": _flip,
    "folder": _folder,
    "denied": lambda file: file.chmod(0),
}
"""Damages of any file."""
JSON_DAMAGES: dict[str, Callable[[Path], None]] = {
    "list": _retype([]),
    "number": _retype(3),
    "null": _retype(None),
    "object": _retype({}),
    "values null": _inner(None),
    "values list": _inner([1]),
    "values text": _inner("x"),
    "values object": _inner({"a": 1}),
}
"""Damages of a file of JSON, or of JSON lines."""


def damages_of(file: Path) -> dict[str, Callable[[Path], None]]:
    """The damages that a file can have."""
    return DAMAGES | (JSON_DAMAGES if file.suffix in (".json", ".jsonl") else {})


@contextlib.contextmanager
def as_nobody(*folders: Path) -> Iterator[None]:
    """Run the body without root's privilege to read everything; the folders belong to it."""
    if os.geteuid() != 0:
        yield
        return
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            shutil.chown(path, NOBODY, NOBODY)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def command_result(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in this process.

    A traceback has exit code 99 and is in the error text.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        # the tests' own folder of compiled programs is root's
        warnings.filterwarnings("ignore", message=".*persistent compilation cache entry.*")
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
            code = 99
    return code, out.getvalue(), err.getvalue()
