"""SIGINT, SIGTERM and a time budget as a request to stop between two chunks of steps."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Self

BUDGET = "time budget"
"""The name of a stop when a process has used its minutes."""


class StopRequest:
    """Context in which the first SIGINT or SIGTERM only sets `name`; a second SIGINT interrupts.

    Outside the main thread, where Python allows no handlers, signals do what they did before.

    Args:
      budget_s: after so many seconds from now, `name` is `BUDGET`; 0: never.
    """

    def __init__(self, budget_s: float = 0.0) -> None:
        self._name: str | None = None
        self._deadline = time.monotonic() + budget_s if budget_s else None
        self._previous: dict[signal.Signals, object] = {}

    @property
    def name(self) -> str | None:
        """What asks to stop; None: nothing does."""
        if self._name is None and self._deadline is not None and time.monotonic() > self._deadline:
            self._name = BUDGET
        return self._name

    @name.setter
    def name(self, value: str | None) -> None:
        self._name = value

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._name is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._name = signal.Signals(number).name
