"""Locks on files, which the system releases when their process ends, however it ends.

Some file systems, as on clusters, have no locks. There nothing would keep two processes out of
one directory, so work is refused, unless the user says that only one process works there:
`RNNEXP_NO_LOCKS=1`.
"""

import errno
import fcntl
import functools
import logging
import os
from typing import IO, Any

from rnnexp.core.errors import UsageError

log = logging.getLogger("rnnexp")
VARIABLE = "RNNEXP_NO_LOCKS"
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def try_lock(
    file: IO[Any] | int, name: object, *, shared: bool = False, needed: bool = False
) -> bool:
    """Lock an open file (or descriptor) without waiting; False if another process holds it.

    Args:
      name: the file, for messages.
      shared: together with others that share.
      needed: the user cannot do without this lock, which tells which processes live.

    Raises:
      UsageError: the file system has no locks.
    """
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    return _lock(file, name, how | fcntl.LOCK_NB, needed=needed)


def wait_for_lock(file: IO[Any] | int, name: object, *, needed: bool = False) -> None:
    """Lock an open file, once no other process holds it; `UsageError` as of `try_lock`."""
    _lock(file, name, fcntl.LOCK_EX, needed=needed)


def unlock(file: IO[Any] | int) -> None:
    """Release a lock of this process."""
    fcntl.flock(file, fcntl.LOCK_UN)


def _lock(file: IO[Any] | int, name: object, how: int, *, needed: bool) -> bool:
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        if needed or os.environ.get(VARIABLE) != "1":
            raise UsageError(
                f"cannot lock {name}: its file system has no locks ({error.strerror}), so two "
                "processes could spoil one run. Use a directory on another file system"
                + ("" if needed else f", or, if only one process works there, set {VARIABLE}=1")
            ) from error
        _say_unlocked(str(name))
    return True


@functools.cache
def _say_unlocked(name: str) -> None:
    log.warning("%s is not locked (%s=1): no second process may work there", name, VARIABLE)
