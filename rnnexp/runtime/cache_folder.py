"""Folders of the user's cache for code, as far as they may be trusted.

Kernels and programs that are kept there run in later processes. So the folder must belong to
the user, and nobody else may write to it.
"""

import os
import stat
from pathlib import Path

from rnnexp.core.files import cache_dir, make_private

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CacheFolderError(Exception):
    """Code is neither kept in nor taken from a folder; the message has the reason, in one line."""


def code_folder(*names: str) -> Path:
    """A folder of the cache folder, made if necessary, that only this user can have filled.

    Folders that are made are for this user alone (mode 0700). Those that are there, and what
    symbolic links of this user lead to, must belong to this user and be writable by no other.

    Raises `CacheFolderError` if one does not, or cannot be made.
    """
    folder = cache_dir()
    target = folder.joinpath(*names)
    try:
        make_private(target)
        for part in (folder, *(folder.joinpath(*names[:n]) for n in range(1, len(names) + 1))):
            if reason := distrust(part):
                raise CacheFolderError(reason)
    except OSError as error:
        raise CacheFolderError(f"cannot write {target}: {error.strerror}") from error
    return target


def distrust(folder: Path) -> str:
    """Why others may have written to an existing folder; empty if only this user can have.

    Raises `OSError` if it cannot be looked at.
    """
    user = os.geteuid()
    link, facts = folder.lstat(), folder.stat()
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in (user, 0):
        return f"{folder} is a link of another user (number {link.st_uid}, not {user}); remove it"
    if facts.st_uid != user:
        return f"{folder} belongs to another user (number {facts.st_uid}, not {user})"
    if mode := facts.st_mode & OTHERS_WRITE:
        who = " and ".join(
            name for name, bit in (("its group", stat.S_IWGRP), ("all", stat.S_IWOTH)) if mode & bit
        )
        return f"{folder} may be written by {who}; remove it, or `chmod go-w` it if you trust them"
    return ""
