"""The tables of optimisers, schedules and losses: a factory in a file here, and a row below.

A factory's keyword-only options are configuration keys, as a cell's are: those of an optimiser
and of a schedule stand in `config.optimizer`, those of a loss in `config.loss`. Options that
`rnnexp.config.defaults` declares are keys of every experiment; others are keys where the factory
is chosen.

* An optimiser, `(learning_rate, *, options) -> optax.GradientTransformation`. The rate is a
  traced scalar: the configured one times the factor of the schedule at this step. So are the
  options `momentum` and `weight_decay`; others are plain numbers. What it gives is added to the
  parameters, and its state is kept in checkpoints.
* A schedule, `(steps, *, options) -> (count -> factor)`, as an optax schedule: the factor of the
  learning rate `count` updates after the warmup. `steps` is the number of updates that it has.
* A loss, `(*, options) -> (outputs, targets, counted) -> values`. It is what training minimises;
  see `rnnexp.learning.losses`.
"""

from collections.abc import Callable
from typing import Any

from rnnexp.core.registry import Entry, Table

OPTIMIZER_ROWS = {
    "sgd": "gradient descent: the gradient times the learning rate",
    "momentum": "heavy ball: a running sum of gradients, times the learning rate",
    "rmsprop": "each gradient over its root mean square; then momentum",
    "adam": "running means of the gradient and of its square, both corrected for their start",
    "adamw": "adam, with a decay of the weights beside the gradient",
}
"""One line on every optimiser, whose factory in `optimizers.py` has its name."""
SCHEDULE_ROWS = {
    "constant": "the same rate throughout",
    "linear": "falls on a straight line, then stays at its floor",
    "cosine": "falls as half a cosine, then stays at its floor",
}
"""One line on every schedule, whose factory in `schedules.py` has its name."""
LOSS_ROWS = {
    "default": ("the task's own", None),
    "absolute_error": ("|output - target|, less moved by outliers than the square", "values"),
    "huber": ("squared up to an error of delta, then linear", "values"),
    "label_smoothing": ("cross-entropy with a target that gives every class a share", "classes"),
}
"""One line on every loss, whose factory in `losses.py` has its name, and the targets it is for."""


def _entries(module: str, rows: dict[str, tuple[str, str | None]]) -> dict[str, Entry]:
    return {
        name: Entry(f"rnnexp.learning.{module}:{name}", summary, (), given=(), targets=targets)
        for name, (summary, targets) in rows.items()
    }


OPTIMIZERS = Table(
    "optimizer", _entries("optimizers", {n: (s, None) for n, s in OPTIMIZER_ROWS.items()})
)
SCHEDULES = Table(
    "schedule", _entries("schedules", {n: (s, None) for n, s in SCHEDULE_ROWS.items()})
)
LOSSES = Table("loss", _entries("losses", LOSS_ROWS), plural="losses")


def optimizer(name: str) -> Callable[..., Any]:
    """Decorator: `@rnnexp.optimizer("name")` adds a factory `(learning_rate, *, ...)`."""
    return OPTIMIZERS.register(name)


def schedule(name: str) -> Callable[..., Any]:
    """Decorator: `@rnnexp.schedule("name")` adds a factory `(steps, *, ...)`."""
    return SCHEDULES.register(name)


def loss(name: str, *, targets: str | None = None) -> Callable[..., Any]:
    """Decorator: `@rnnexp.loss("name")` adds a factory `(*, ...)` of a loss.

    Args:
      targets: the kind that it is for, of `rnnexp.core.registry.TARGETS`; None: any that its
        shapes fit.
    """
    return LOSSES.register(name, targets=targets)
