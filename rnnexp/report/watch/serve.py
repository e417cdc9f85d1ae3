"""Runs the server of the live page until a signal ends it."""

import importlib.util
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rnnexp.core.errors import UsageError
from rnnexp.runtime.signals import StopRequest

HOST = "127.0.0.1"
LAST_PORT = 65535
PATIENCE_S = 0.2
"""How long a signal may go unnoticed."""


class Place(NamedTuple):
    """A socket that listens, its port, and the address of the page with its token."""

    listening: socket.socket
    port: int
    token: str
    address: str


def require_watchable(directory: Path) -> None:
    """Raise `UsageError` for a directory in which no run can ever appear, or without the extra.

    A directory that does not exist yet may be made by the run that is started next; its parent
    must exist, since a mistyped one would be waited for in vain.
    """
    for package in ("starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"watch needs the package {package}: pip install 'rnnexp[watch]'")
    try:
        if directory.exists() and not directory.is_dir():
            raise UsageError(f"cannot watch {directory}: it is a file; name a directory of runs")
        if not directory.exists() and not directory.absolute().parent.is_dir():
            raise UsageError(
                f"cannot watch {directory}: there is no directory {directory.absolute().parent}"
            )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot watch {str(directory)!r}: {reason}") from error


def listen(port: int = 0) -> Place:
    """A place on this machine; port 0 takes one that is free.

    Raises `UsageError` for a port that is none, in use or not to be used.
    """
    if not 0 <= port <= LAST_PORT:
        raise UsageError(f"--port must be between 0 (any that is free) and {LAST_PORT}, not {port}")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise UsageError(
            f"cannot listen on port {port}: {error.strerror}; leave --port out for one that is free"
        ) from error
    token, number = secrets.token_urlsafe(24), int(listening.getsockname()[1])
    return Place(listening, number, token, f"http://{HOST}:{number}/?token={token}")


def serve(directory: Path, place: Place, started: Callable[[], None] = lambda: None) -> str:
    """Serve the page until SIGINT or SIGTERM; returns the signal's name.

    Args:
      started: called when the server answers.
    """
    import uvicorn

    from rnnexp.report.watch.server import application

    config = uvicorn.Config(
        application(directory, place.token), log_config=None, access_log=False, lifespan="off",
        loop="asyncio", http="h11", ws="none", server_header=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    # In a thread of its own uvicorn leaves signals alone, and they end this as any other command.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place.listening]})
    with StopRequest() as stop, place.listening:
        thread.start()
        try:
            told = False
            while stop.name is None and thread.is_alive():
                if server.started and not told:
                    told = True
                    started()
                thread.join(PATIENCE_S)
        finally:
            server.should_exit = True
            thread.join()
    return stop.name or "SIGTERM"
