"""What asks a process to stop: a signal, another part of the program, or its time budget."""

import os
import signal
import time
from types import SimpleNamespace

import pytest

from rnnexp.runtime import signals
from rnnexp.runtime.signals import BUDGET, StopRequest


def test_a_budget_asks_to_stop_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(signals, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with StopRequest(60.0) as stop, StopRequest() as never:
        for seconds, name in ((100.0, None), (159.0, None), (161.0, BUDGET)):
            now[0] = seconds
            assert (stop.name, never.name) == (name, None)
        stop.name = None  # another process's answer
        assert stop.name == BUDGET


def test_a_signal_or_another_reason_comes_first() -> None:
    with StopRequest(0.01) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.02)
        assert stop.name == "SIGTERM"
    with StopRequest() as stop:
        stop.name = "cancelled"
        assert stop.name == "cancelled"
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.name == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
