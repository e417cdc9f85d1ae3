"""Where the server listens, and how it ends."""

import importlib.util
import os
import signal
import socket
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.report.watch import serve as module
from rnnexp.report.watch.serve import listen, require_watchable


def test_it_listens_on_this_machine_alone_with_a_token_of_its_own() -> None:
    first, second = listen(), listen()
    try:
        assert first.listening.getsockname() == ("127.0.0.1", first.port)
        assert first.address == f"http://127.0.0.1:{first.port}/?token={first.token}"
        assert first.token != second.token
        assert len(first.token) >= 32
        with pytest.raises(
            UsageError, match=f"cannot listen on port {first.port}: Address already"
        ):
            listen(first.port)
    finally:
        first.listening.close()
        second.listening.close()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    again = listen(port)
    again.listening.close()
    assert again.port == port


@pytest.mark.parametrize("port", [-1, 65536, 10**30])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match=r"--port must be between 0 .* and 65535"):
        listen(port)


def test_what_cannot_hold_runs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_watchable(tmp_path)
    require_watchable(tmp_path / "later")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="it is a file"):
        require_watchable(tmp_path / "file")
    with pytest.raises(UsageError, match=f"there is no directory {tmp_path / 'no'}"):
        require_watchable(tmp_path / "no" / "runs")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'rnnexp\[watch\]'"):
        require_watchable(tmp_path)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_it(tmp_path: Path, name: str) -> None:
    place = listen()
    ended = module.serve(tmp_path, place, lambda: os.kill(os.getpid(), getattr(signal, name)))
    assert ended == name
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", place.port))
