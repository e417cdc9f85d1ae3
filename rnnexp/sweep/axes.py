"""The space of a sweep: the keys that vary, their values, and the types of these.

A `--sweep` text has one of these forms:

    KEY=VALUE,VALUE,...          a list; `cell` and `task` are short for their names
    KEY=log:LOW..HIGH:COUNT      COUNT values from LOW to HIGH, evenly spaced in the logarithm
    KEY=linear:LOW..HIGH:COUNT   COUNT values, evenly spaced
    KEY=log:LOW..HIGH            an interval, from which random:N or a search draws
    zip:KEY=...;KEY=...          keys that vary together: first with first, second with second
    random:N                     N points are drawn instead of the whole grid

Parsed values are text. They get the type of their key when an experiment is known, because the
options of tasks and cells differ (`typed_values`).
"""

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.seeds import require_seed

SCALES = ("log", "linear")
SHORT = {"cell": "cell.name", "task": "task.name"}
EXPERIMENT = ("task.name", "cell.name")
"""The keys that choose an experiment. Random draws leave them out: each experiment gets the same
points."""
DIGITS = 12
"""Significant digits of a computed value, so that 0.001 is 0.001."""
TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
FORMS = "KEY=VALUE,VALUE, KEY=log:LOW..HIGH:COUNT, KEY=linear:LOW..HIGH:COUNT, zip:KEY=...;KEY=..."


@dataclass(frozen=True)
class Axis:
    """One key that varies.

    Attributes:
      key: dotted, such as `optimizer.learning_rate`.
      values: its values, typed or as text; None for an interval without a count.
      scale: list, log or linear.
      low, high: the ends of a log or linear axis, both included.
    """

    key: str
    values: tuple[Any, ...] | None = None
    scale: str = "list"
    low: float = 0.0
    high: float = 0.0

    def __post_init__(self) -> None:
        require_choice("scale", self.scale, ("list", *SCALES))
        if self.scale == "list" and not self.values:
            raise UsageError(f"sweep of {self.key}: the list of values is empty")

    def __str__(self) -> str:
        if self.scale == "list":
            return f"{self.key}={','.join(str(value) for value in self.values or ())}"
        count = f":{len(self.values)}" if self.values else ""
        return f"{self.key}={self.scale}:{self.low:g}..{self.high:g}{count}"


Group = tuple[Axis, ...]
"""Axes that vary together; usually a single one."""


@dataclass(frozen=True)
class Space:
    """What a sweep varies.

    Attributes:
      groups: the grid is the product over groups; the axes within a group vary together.
      seeds: the seeds of every point, or how many seeds from the base's seed on.
      random: how many points are drawn; None: the whole grid.
      draw_seed: the draws come from `numpy.random.default_rng(draw_seed)`.
    """

    groups: tuple[Group, ...] = ()
    seeds: int | tuple[int, ...] = 1
    random: int | None = None
    draw_seed: int = 0

    def __post_init__(self) -> None:
        keys = [axis.key for axis in self.axes]
        for key in keys:
            if keys.count(key) > 1:
                raise UsageError(f"{key} is swept twice; give all its values in one --sweep")
        if "seed" in keys:
            raise UsageError("seeds are not swept as a key; use --seeds 5 or --seeds 3,7,11")
        if self.random is not None and self.random < 1:
            raise UsageError(f"random:N needs at least one point, not {self.random}")
        if (self.seeds if isinstance(self.seeds, int) else len(self.seeds)) < 1:
            raise UsageError("a sweep needs at least one seed, such as --seeds 5")
        if isinstance(self.seeds, tuple) and min(self.seeds) < 0:
            raise UsageError(f"seeds must not be negative, but one is {min(self.seeds)}")
        for seed in self.seeds if isinstance(self.seeds, tuple) else ():
            require_seed("--seeds: each", seed)
        require_seed("--draw-seed", self.draw_seed)
        for axis in self.axes:
            if axis.key in EXPERIMENT and axis.scale != "list":
                raise UsageError(f"sweep {axis}: {axis.key} takes names; write a list of them")
        for group in self.groups:
            _require_one_length(group)

    @property
    def axes(self) -> list[Axis]:
        """All axes, in order."""
        return [axis for group in self.groups for axis in group]


def _require_one_length(group: Group) -> None:
    first = group[0]
    for axis in group:
        if len(group) > 1 and axis.values is None:
            raise UsageError(f"zip: {axis} needs a number of values: append :COUNT")
        if len(axis.values or ()) != len(first.values or ()):
            raise UsageError(
                f"zip: {first.key} has {len(first.values or ())} values and {axis.key} "
                f"{len(axis.values or ())}; axes that go together need equally many"
            )


def interval(key: str, scale: str, low: float, high: float, count: int | None = None) -> Axis:
    """A log or linear axis from `low` to `high`, both included.

    Its `count` values are rounded to `DIGITS` significant digits; the ends are exact.

    Raises:
      UsageError: unless low < high, both finite (log: positive), and count >= 2.
    """
    require_choice("scale", scale, SCALES)
    text = f"{key}={scale}:{low:g}..{high:g}"
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"sweep {text}: LOW must be less than HIGH, both finite")
    if scale == "log" and low <= 0:
        raise UsageError(f"sweep {text}: a log axis needs a positive LOW")
    if count is None:
        return Axis(key, None, scale, low, high)
    if count < 2:
        raise UsageError(f"sweep {text}:{count}: COUNT must be at least 2, for the two ends")
    inner = [between(scale, low, high, index / (count - 1)) for index in range(1, count - 1)]
    values = (low, *inner, high)
    if len(set(values)) < count:
        raise UsageError(f"sweep {text}:{count}: {count} values do not fit, some are equal")
    return Axis(key, values, scale, low, high)


def between(scale: str, low: float, high: float, fraction: float) -> float:
    """The value at a fraction of the way from `low` to `high`, rounded to `DIGITS` digits."""
    if scale == "log":
        value = math.exp(math.log(low) + fraction * (math.log(high) - math.log(low)))
    else:
        value = low + fraction * (high - low)
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def parse_space(texts: Sequence[str], *, seeds: str | None = None, draw_seed: int = 0) -> Space:
    """The space that the values of `--sweep` and `--seeds` describe.

    Args:
      texts: see the module's docstring.
      seeds: a number of seeds, or a list of them with commas; None: one.

    Raises:
      UsageError: for a text of another form, a key given twice, zipped lists of unequal length.
    """
    groups: list[Group] = []
    random: int | None = None
    for text in texts:
        if match := re.fullmatch(r"random(?::(.*))?", text.strip()):
            if random is not None:
                raise UsageError("random:N is given twice")
            random = _whole(match[1] or "", f"--sweep {text}: N of random:N")
        elif text.startswith("zip:"):
            groups.append(tuple(_axis(part) for part in text.removeprefix("zip:").split(";")))
        else:
            groups.append((_axis(text),))
    return Space(tuple(groups), parse_seeds(seeds), random, draw_seed)


def parse_seeds(text: str | None) -> int | tuple[int, ...]:
    """The value of `--seeds`: a number of seeds, or a list of them."""
    if text is None:
        return 1
    if "," not in text:
        return _whole(text, "--seeds: the number of seeds")
    return tuple(_whole(part, "--seeds: a seed") for part in text.split(",") if part.strip())


def _axis(text: str) -> Axis:
    """One `KEY=...`."""
    key, equals, values = (part.strip() for part in text.partition("="))
    key = key.removeprefix("--config.").removeprefix("config.")
    if not key or not equals:
        raise UsageError(f"--sweep {text!r} is of no known form; write {FORMS}, or random:N")
    key = SHORT.get(key, key)
    match = re.fullmatch(r"([a-z_]+):([^,]+?)\.\.([^,:]+)(?::([^,:]*))?", values)
    if match is None:
        near = difflib.get_close_matches(values.partition(":")[0], SCALES, n=1, cutoff=0.7)
        if ":" in values and near:
            raise UsageError(f"--sweep {text}: write {key}={near[0]}:LOW..HIGH:COUNT")
        items = [item.strip() for item in values.split(",")]
        if not all(items):
            raise UsageError(f"--sweep {text}: a value of the list is empty")
        return Axis(key, tuple(items))
    scale, low, high, count = match.groups()
    require_choice(f"scale in --sweep {text}:", scale, SCALES)
    try:
        ends = float(low), float(high)
    except ValueError as error:
        raise UsageError(f"--sweep {text}: LOW and HIGH must be numbers") from error
    number = None if count is None else _whole(count, f"--sweep {text}: COUNT")
    return interval(key, scale, *ends, number)


def _whole(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"{what} must be a whole number, not {text!r}") from error


def kind_of(key: str, config: ConfigDict) -> type:
    """The type of a key of this configuration."""
    *parents, last = key.split(".")
    for parent in parents:
        config = config[parent]
    kind: type = config.get_type(last)
    if kind not in TYPE_NAMES:
        raise UsageError(
            f"config.{key} cannot be swept: it is neither number, text nor truth value"
        )
    return kind


def typed(key: str, value: Any, kind: type) -> Any:
    """A value, typed or as text, converted to the type of its key.

    Raises `UsageError` if it is of another type.
    """
    refusal = UsageError(f"config.{key} takes {TYPE_NAMES[kind]}, not {value!r}")
    if isinstance(value, str) and kind is not str:
        try:
            return BOOLEANS[value.lower()] if kind is bool else kind(value)
        except (KeyError, ValueError) as error:
            raise refusal from error
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise refusal
    return value


def typed_values(axis: Axis, kind: type) -> tuple[Any, ...]:
    """All values of an axis, in the type of its key; `UsageError` for an interval."""
    if axis.values is None:
        raise UsageError(
            f"--sweep {axis} is an interval: append :COUNT for so many values of it, such as "
            f"{axis}:10, or add --sweep random:N to draw N points"
        )
    if axis.scale == "list":
        return tuple(typed(axis.key, value, kind) for value in axis.values)
    require_number(axis, kind)
    if kind is float:
        return tuple(float(value) for value in axis.values)
    for value in axis.values:
        if value != int(value):
            raise UsageError(
                f"config.{axis.key} takes whole numbers, but {axis} has {value:g} among its "
                "values; choose another COUNT or write a list"
            )
    return tuple(int(value) for value in axis.values)


def require_number(axis: Axis, kind: type) -> None:
    """Raise `UsageError` unless the key of a log or linear axis is a number."""
    if kind not in (int, float):
        raise UsageError(
            f"config.{axis.key} takes {TYPE_NAMES[kind]}; write a list: {axis.key}=A,B"
        )


def whole_ends(axis: Axis) -> tuple[int, int]:
    """The ends of an interval of whole numbers; `UsageError` if one is not whole."""
    for end in (axis.low, axis.high):
        if end != int(end):
            raise UsageError(f"config.{axis.key} takes whole numbers; {axis} has the end {end:g}")
    return int(axis.low), int(axis.high)


def drawn(axis: Axis, kind: type, fraction: float) -> Any:
    """The value of an axis for a uniform draw `fraction` from [0, 1).

    Values of a list, and whole numbers in a linear interval, are equally likely. In a log
    interval a whole number n has the probability of the interval (n - 1/2, n + 1/2).
    """
    if axis.values is not None:
        values = typed_values(axis, kind)
        return values[int(fraction * len(values))]
    require_number(axis, kind)
    if kind is float:
        return between(axis.scale, axis.low, axis.high, fraction)
    low, high = whole_ends(axis)
    if axis.scale == "linear":
        return low + int(fraction * (high - low + 1))
    value = math.exp(math.log(low - 0.5) + fraction * math.log((high + 0.5) / (low - 0.5)))
    return min(max(round(value), low), high)
