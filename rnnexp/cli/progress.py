"""A run's progress on the console: a live line on a terminal, a few plain lines otherwise."""

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text

from rnnexp.cli.live import BAR_WIDTH, Column, LiveArea, lines
from rnnexp.cli.output import duration_text
from rnnexp.run.callbacks import Observer

log = logging.getLogger("rnnexp")
SLOPE = "slope/"
"""Begin of the names of slopes among a step's scalars: `slope/layer_0/h`."""


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

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class LiveProgress(PlainProgress):
    """Prints the plain lines above a live one with the figures of `run_columns`."""

    def __init__(self, console: Console):
        super().__init__(console)
        self.area = LiveArea(console, self._render)
        self.stage, self.since = "preparing the data and the network", time.monotonic()
        self.first = self.step = self.total = 0
        self.chunks = 0
        self.begun: tuple[float, int] | None = None
        """When the second chunk had been made, and its last step: programs are compiled before."""
        self.latest = self.since
        self.scalars: Mapping[str, float] = {}

    def open(self) -> None:
        """Open the live line: it first shows how long the preparation has taken so far."""
        self.area.open()

    def started(self, path: Path, first_step: int, total_steps: int) -> None:
        """Print as on a pipe; from here on the program is compiled."""
        super().started(path, first_step, total_steps)
        self.stage, self.since = "compiling the training program", time.monotonic()
        self.step, self.total = first_step, total_steps
        self.area.open()

    def advanced(self, step: int, scalars: Mapping[str, float] | None) -> None:
        """Take in the figures; the first slope gets a line that says what it is of."""
        self.latest, self.step, self.stage = time.monotonic(), step, ""
        self.chunks += 1
        if self.chunks == 2:
            self.begun = self.latest, step
        if scalars is None:
            return
        first, self.scalars = not self.scalars, scalars
        if first and (place := place_of_slope(scalars)) is not None:
            unit, leaf = place.rsplit("/", 1)
            self._say(
                f"slope: of ln ||dL/d{leaf}_t|| over the lag ({unit}); half-life in steps of lag"
            )

    def _render(self, width: int, height: int) -> RenderableType:
        del height
        if self.stage:
            text = f"{self.stage}, {time.monotonic() - self.since:.0f} s"
            return Text(text, no_wrap=True, overflow="ellipsis")
        rate, left = self._speed()
        return lines([run_columns(self.step, self.total, self.scalars, rate, left)], width)

    def _speed(self) -> tuple[float | None, float | None]:
        """Training steps a second, and seconds left; None before the third chunk is made."""
        if self.begun is None or self.step == self.begun[1]:
            return None, None
        rate = (self.step - self.begun[1]) / (self.latest - self.begun[0])
        waited = time.monotonic() - self.latest
        return rate, max(0.0, (self.total - self.step) / rate - waited)

    def close(self) -> None:
        """Clear the live line."""
        self.area.close()


def run_columns(
    step: int, total: int, scalars: Mapping[str, float], rate: float | None, left: float | None
) -> list[Column]:
    """What the live line says: the most important figures have the lowest ranks.

    Args:
      step, total: updates made, and of the whole run.
      scalars: of the latest recorded step, as in `metrics.jsonl`; may be empty.
      rate: training steps a second.
      left: seconds.
    """
    count = f"{step}/{total}"
    loss = f"loss {scalars['loss']:.3g}" if "loss" in scalars else ""
    norm = f"|grad| {scalars['grad_norm']:.3g}" if "grad_norm" in scalars else ""
    place = place_of_slope(scalars)
    slope = math.nan if place is None else scalars[f"{SLOPE}{place}"]
    life = math.nan if place is None else scalars.get(f"half_life/{place}", math.nan)
    return [
        Column(6, BAR_WIDTH, None, step / total if total else None),
        Column(0, 2 * len(str(total)) + 1, count),
        Column(1, 14, loss),
        Column(4, 14, "" if place is None else slope_text(slope)),
        Column(2, 20, "" if place is None else half_life_text(slope, life)),
        Column(7, 15, norm),
        Column(5, 12, "" if rate is None else f"{_number(rate)} steps/s"),
        Column(3, 11, "" if left is None else f"{duration_text(left)} left"),
    ]


def place_of_slope(scalars: Mapping[str, float]) -> str | None:
    """The unit and state leaf whose slope is shown, such as `layer_0/h`; None without any.

    The first unit's hidden state, which of a stack is the lowest layer's: a gradient has passed
    through all others on its way there.
    """
    places = sorted(name.removeprefix(SLOPE) for name in scalars if name.startswith(SLOPE))
    hidden = [place for place in places if place.endswith("/h")]
    return next(iter([*hidden, *places]), None)


def slope_text(slope: float) -> str:
    """`slope -0.031`, in nats per step."""
    return "slope -" if math.isnan(slope) else f"slope {slope:.2g}"


def half_life_text(slope: float, half_life: float) -> str:
    """`half-life 22.4 steps`; for a norm that grows with the lag `doubling 22.4 steps`."""
    if slope > 0:
        return f"doubling {_steps(math.log(2.0) / slope)}"
    return f"half-life {_steps(half_life)}"


def _steps(number: float) -> str:
    """`22.4 steps` in at most 10 characters."""
    return f"{_number(number)} steps" if math.isfinite(number) else f"{number}".replace("nan", "-")


def _number(value: float) -> str:
    """A number that is not negative in at most 4 characters: 0.22, 22.4, 2240, 2e4."""
    if value < 9999.5:
        return f"{value:.0f}" if value >= 999.5 else f"{value:.3g}"[:4].rstrip(".")
    return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
