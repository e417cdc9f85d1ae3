"""A run's progress on the console: a live line on a terminal, a few plain lines otherwise."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rnnexp.run.callbacks import Observer

log = logging.getLogger("rnnexp")


def scores_text(scores: Mapping[str, float]) -> str:
    """`loss 0.1234  accuracy 0.9800`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in scores.items())


class PlainProgress(Observer):
    """Prints two lines at the start and one for each evaluation."""

    def __init__(self, console: Console):
        self.console = console

    def started(self, path: Path, first_step: int, total_steps: int) -> None:
        """Print the run's directory and its first step."""
        begin = "starting" if first_step == 0 else f"resuming at step {first_step}"
        self._say(f"{path}: {begin}, {total_steps} steps in all")

    def noted(self, text: str) -> None:
        """Log the remark."""
        log.info("%s", text)

    def compared(self, baselines: Mapping[str, float]) -> None:
        """Print the closed-form figures on one line."""
        self._say(f"for comparison: {scores_text(baselines)}")

    def evaluated(self, split: str, step: int, scores: Mapping[str, float]) -> None:
        """Print the scores on one line."""
        self._say(f"step {step}  {split}: {scores_text(scores)}")

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def close(self) -> None:
        """Do nothing."""


class LiveProgress(PlainProgress):
    """Prints the plain lines above a live one: steps/s, loss, gradient norm, time left."""

    def __init__(self, console: Console):
        super().__init__(console)
        self.bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}  {task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.begun: tuple[float, int] | None = None

    def started(self, path: Path, first_step: int, total_steps: int) -> None:
        """Open the live line."""
        super().started(path, first_step, total_steps)
        self.task = self.bar.add_task(
            "", total=total_steps, completed=first_step, rate="compiling", figures=""
        )
        self.bar.start()

    def advanced(self, step: int, scalars: Mapping[str, float] | None) -> None:
        """Update the live line."""
        now = time.monotonic()
        self.begun = self.begun or (now, step)
        seconds, steps = now - self.begun[0], step - self.begun[1]
        rate = f"{steps / seconds:.1f} steps/s" if steps else "..."
        self.bar.update(self.task, completed=step, rate=rate)
        if scalars is not None:
            figures = f"loss {scalars['loss']:.4g}  |grad| {scalars['grad_norm']:.3g}"
            self.bar.update(self.task, figures=figures)

    def close(self) -> None:
        """Clear the live line."""
        self.bar.stop()
