"""The server of the live page: two addresses, to be read by whoever has the token.

It listens on this machine alone, answers GET and HEAD, and lets no other site read an answer.
A request needs the token, which is drawn when the server starts. It also needs a `Host` that is
this machine: a page of another site, whose name is made to lead here (DNS rebinding), sends that.
"""

import logging
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from rnnexp.core.files import to_json
from rnnexp.report.page.html import render
from rnnexp.report.watch.snapshot import Snapshot, changes, look, whole_page

log = logging.getLogger("rnnexp")
EVERY_S = 2.0
"""The page asks, and the runs are looked at, at most once in so many seconds."""
REST = 4.0
"""After a look the runs are left alone for so many times the processor time that it took."""
HOSTS = ("127.0.0.1", "localhost")
METHODS = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


def refusal(method: str, host: str, query: str, token: str) -> tuple[int, str] | None:
    """The status and the words by which a request is refused; None: it is answered.

    Args:
      host: of the request's header, with or without a port. The port is free, since a tunnel
        (`ssh -L 8000:127.0.0.1:40000`) may have another.
      query: of the address, after the question mark.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name not in HOSTS:
        return 403, f"this server answers to {' and '.join(HOSTS)} alone"
    given = parse_qs(query).get("token", [""])[-1]
    if not secrets.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        return 403, "open the address that `rnnexp watch` printed: it ends in a token"
    if method not in METHODS:
        return 405, "this server is read-only: GET and HEAD"
    return None


class Guard:
    """Refuses requests, and gives every answer its headers."""

    def __init__(self, app: Any, token: str):
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        host, query = request.headers.get("host", ""), request.url.query
        refused = refusal(request.method, host, query, self.token)
        answer = self.app if refused is None else PlainTextResponse(refused[1] + "\n", refused[0])

        async def send_guarded(message: Scope) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *extra]
                if message["status"] == 405:
                    message["headers"].append((b"allow", ", ".join(METHODS).encode()))
            await send(message)

        await answer(scope, receive, send_guarded)


class Watcher:
    """The latest snapshot of a directory. Nothing is read unless somebody asks."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.name = secrets.token_hex(8)
        """Of this server, by which a page sees that its versions are those of another."""
        self._snapshot, self._due, self._lock = Snapshot(), 0.0, threading.Lock()

    def now(self) -> Snapshot:
        """The snapshot, looked at anew if that is due."""
        with self._lock:
            if time.monotonic() >= self._due:
                began = time.process_time()
                self._snapshot = look(self.directory, self._snapshot)
                spent = time.process_time() - began
                self._due = time.monotonic() + max(EVERY_S, REST * spent)
            return self._snapshot


def application(directory: Path, token: str) -> Starlette:
    """The page at `/`, and what is new since version `since` at `/changes`."""
    import xarray  # noqa: F401  slow to import: before the first look, whose time counts
    import zarr  # noqa: F401

    watcher = Watcher(directory)

    def page(request: Request) -> Response:
        snapshot = watcher.now()
        live = {"server": watcher.name, "version": snapshot.version, "every_s": EVERY_S}
        return HTMLResponse(render(whole_page(snapshot), live))

    def news(request: Request) -> Response:
        asked = request.query_params
        since = asked.get("since", "")
        known = int(since) if since.isdecimal() and asked.get("server") == watcher.name else -1
        found = {"server": watcher.name} | changes(watcher.now(), known)
        text = to_json(found, separators=(",", ":"))
        return Response(text, media_type="application/json")

    routes = [Route("/", page, methods=["GET"]), Route("/changes", news, methods=["GET"])]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token)])
