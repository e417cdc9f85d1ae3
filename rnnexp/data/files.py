"""Finds a data file, or downloads it (alone or in an archive), and verifies it.

It may be in `--data-dir`, `$RNNEXP_DATA` or the cache (`$XDG_CACHE_HOME/rnnexp` or
`~/.cache/rnnexp`), searched in this order; downloads go into the cache.

A download must have the checksum of the original file. A copy that the user put there may also be
packed otherwise, or not at all, if it holds the same data (`DataFile.digest`).
"""

import http.client
import logging
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rnnexp.core.errors import RunError, UsageError
from rnnexp.core.files import cache_dir, file_sha256, made_beside, make_private

log = logging.getLogger("rnnexp")
DOWNLOAD_TIMEOUT_S = 30
REFUSALS = (urllib.error.URLError, http.client.HTTPException, OSError, UsageError)


@dataclass(frozen=True)
class DataFile:
    """A file of a data set.

    Attributes:
      path: below a data directory.
      sha256: checksum of the original file.
      urls: addresses of copies of the original.
      others: further paths where a user's copy may be, such as that of the unpacked file.
      digest: `path -> SHA-256` of the data in a copy, however they are packed; it raises
        `UsageError` for a file that it cannot read. None: only the original file will do.
      data_sha256: the SHA-256 of the right data.
      archive: the tar file that has the original, where it is not offered alone.
      member: the path of the original in the archive.
    """

    path: str
    sha256: str
    urls: Sequence[str]
    others: Sequence[str] = ()
    digest: Callable[[Path], str] | None = None
    data_sha256: str = ""
    archive: "DataFile | None" = None
    member: str = ""


def find(file: DataFile, data_dir: Path | None = None) -> Path:
    """Path of a verified copy of `file`, downloaded if there is none.

    Raises `UsageError` if a copy is damaged, or if there is none and no mirror answers.
    """
    environment = os.environ.get("RNNEXP_DATA")
    folders = [data_dir, Path(environment) if environment else None, cache_dir()]
    names = (file.path, *file.others)
    places = [folder / name for folder in folders if folder is not None for name in names]
    for place in places:
        if os.path.isfile(place):  # unlike Path.is_file, False without permission
            verify(place, file)
            return place
    if file.archive is not None:
        return unpack(file, file.archive, data_dir, places)
    return download(file, cache_dir() / file.path, places)


def verify(path: Path, file: DataFile) -> None:
    """Raise `UsageError`, with the remedy, unless this is the original or has the same data."""
    try:
        found = file_sha256(path)
    except OSError as error:
        raise UsageError(f"cannot read the data file {path}: {error.strerror}") from error
    if found == file.sha256:
        return
    why = f"its SHA-256 is {found}, expected {file.sha256}"
    if file.digest is not None:
        try:
            data = file.digest(path)
        except UsageError as error:
            why += f" ({error})"
        else:
            if data == file.data_sha256:
                return
            why += f"; that of its data is {data}, expected {file.data_sha256}"
    raise UsageError(
        f"the data file {path} ({path.stat().st_size:,} bytes) is damaged or not the "
        f"expected one: {why}. "
        "Delete it, and it is fetched again, or put the right file there."
    )


def download(file: DataFile, target: Path, looked_in: Sequence[Path]) -> Path:
    """Download `file` from the first mirror that answers, verify it, store it at `target`.

    The target is complete or absent. Raises `UsageError` if no mirror has it,
    `RunError` if it cannot be stored.
    """
    failures = []
    for url in file.urls:
        log.info("downloading %s", url)
        try:
            with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_S) as response:
                return _store(response, file, target)
        except REFUSALS as error:
            failures.append(f"  {url}: {error}")
    raise _absent(
        file,
        looked_in,
        "and could not download it:\n"
        + "\n".join(failures)
        + "\nPut the file at one of these places, or name its folder with --data-dir.",
    )


def unpack(
    file: DataFile, archive: DataFile, data_dir: Path | None, looked_in: Sequence[Path]
) -> Path:
    """Find or download a file's archive, and store the file from it in the cache, verified.

    The result is complete or absent. Raises `UsageError` if there is no archive, or if it is
    damaged or does not have the file, `RunError` if the file cannot be stored.
    """
    try:
        packed = find(archive, data_dir)
    except UsageError as error:
        raise _absent(file, looked_in, f"nor of the archive that has it: {error}") from error
    try:
        with tarfile.open(packed) as tar:
            member = next((info for info in tar if info.name == file.member), None)
            stream = None if member is None else tar.extractfile(member)
            if stream is None:
                raise UsageError(f"the archive {packed} does not have {file.member}")
            with stream:
                return _store(stream, file, cache_dir() / file.path)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read the archive {packed}: {error}") from error


def _absent(file: DataFile, looked_in: Sequence[Path], why: str) -> UsageError:
    """The error for a file of which there is no copy."""
    looked = "\n".join(f"  {place}" for place in looked_in)
    return UsageError(f"no copy of {file.path}. Looked for:\n{looked}\n{why}")


def _store(response: IO[bytes], file: DataFile, target: Path) -> Path:
    """Write a response beside the target, verify it, rename it into place."""
    with made_beside(target, f".{os.getpid()}") as part:
        try:
            make_private(target.parent)
            stream = part.open("wb")
        except OSError as error:
            raise RunError(f"cannot store {target}: {error.strerror}") from error
        with stream:
            shutil.copyfileobj(response, stream)
        if (found := file_sha256(part)) != file.sha256:
            raise UsageError(f"what came has the SHA-256 {found}, expected {file.sha256}")
    return target
