"""An observer that stops a run as Ctrl-C does."""

import os
import signal

from rnnexp.run.callbacks import Observer


class StopAt(Observer):
    """Sends this process a SIGINT after some step."""

    def __init__(self, step: int):
        self.step, self.sent = step, False

    def advanced(self, step: int, scalars: object) -> None:
        """One signal, once."""
        if step >= self.step and not self.sent:
            self.sent = True
            os.kill(os.getpid(), signal.SIGINT)
