"""Numbers of parameters by width, from shapes alone."""

from functools import partial
from typing import NamedTuple

import jax
from flax import nnx
from ml_collections import ConfigDict, FrozenConfigDict

from rnnexp.config.schema import finish
from rnnexp.core.errors import UsageError
from rnnexp.core.tree import tree_size
from rnnexp.tasks.base import Task
from rnnexp.train.build import build_model

LARGEST_START = 1 << 16
"""The largest width that is tried in search of one that the cell allows."""


class Width(NamedTuple):
    """A width that the cell allows, and the model's number of parameters at it."""

    hidden_size: int
    parameters: int


def count_parameters(config: FrozenConfigDict, task: Task) -> int:
    """Number of trainable scalars of a configuration's model; no weights are drawn.

    Raises `UsageError` where the model cannot be built.
    """
    model = nnx.eval_shape(partial(build_model, config, task), jax.random.key(0))
    return tree_size(nnx.to_pure_dict(nnx.state(model, nnx.Param)))


def with_width(config: FrozenConfigDict, hidden_size: int) -> FrozenConfigDict:
    """The configuration with another `cell.hidden_size`."""
    copied = ConfigDict(config)
    copied.cell.hidden_size = hidden_size
    return finish(copied)


class Counts:
    """Numbers of parameters by width of one model, counted when asked for, each once."""

    def __init__(self, config: FrozenConfigDict, task: Task):
        self.config = config
        self.task = task
        self._counted: dict[int, int | None] = {}
        self._refusal: UsageError | None = None

    @property
    def name(self) -> str:
        """TASK/CELL."""
        return f"{self.config.task.name}/{self.config.cell.name}"

    def around(self, parameters: int) -> list[Width]:
        """The allowed widths next to the number wanted: the last below it, the first not.

        The number grows with the width, so doubling finds an interval and halving it the
        two ends. The first is missing if even the smallest width has as many.

        Raises `UsageError` if the number does not grow, or no width is allowed.
        """
        below, not_below = None, self._start()
        if not_below.parameters >= parameters:
            self._above(not_below)
        while not_below.parameters < parameters:
            below, not_below = not_below, self._above(not_below)
        low, high = below.hidden_size if below else 0, not_below.hidden_size
        while high - low > 1:
            middle = (low + high) // 2
            width = self._allowed(middle, not_below.hidden_size)
            assert width is not None  # the last one is
            if width.parameters < parameters:
                below, low = width, width.hidden_size
            else:
                not_below, high = width, middle
        return [width for width in (below, not_below) if width is not None]

    def nearest(self, parameters: int) -> Width:
        """The allowed width with the number of parameters nearest to the one wanted."""
        return min(self.around(parameters), key=lambda width: abs(width.parameters - parameters))

    def _count(self, hidden_size: int) -> int | None:
        """The number at this width; None if the cell does not allow it."""
        if hidden_size not in self._counted:
            number = None
            try:
                number = count_parameters(with_width(self.config, hidden_size), self.task)
            except UsageError as error:
                self._refusal = self._refusal or error
            self._counted[hidden_size] = number
        return self._counted[hidden_size]

    def _allowed(self, first: int, last: int) -> Width | None:
        """The smallest width from `first` to `last` that the cell allows."""
        for hidden_size in range(first, last + 1):
            number = self._count(hidden_size)
            if number is not None:
                return Width(hidden_size, number)
        return None

    def _start(self) -> Width:
        """A width that the cell allows: the next from the configuration's on, or a power of two."""
        size = self.config.cell.hidden_size
        powers = (1 << n for n in range(LARGEST_START.bit_length()))
        for hidden_size in (*range(size, size + 33), *powers):
            if (width := self._allowed(hidden_size, hidden_size)) is not None:
                return width
        assert self._refusal is not None
        raise self._refusal

    def _above(self, width: Width) -> Width:
        """An allowed width of two to four times the size, which must have more parameters."""
        larger = self._allowed(2 * width.hidden_size, 4 * width.hidden_size)
        if larger is None or larger.parameters <= width.parameters:
            raise UsageError(
                f"the number of parameters of cell {self.config.cell.name!r} does not grow with "
                "cell.hidden_size, so it cannot be matched"
            )
        return larger
