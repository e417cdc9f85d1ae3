"""Values of a swept key in the type that the configuration declares for it."""

import math
from typing import Any

from rnnexp.config.schema import UNITS
from rnnexp.core.errors import UsageError
from rnnexp.sweep.axes import Axis, between

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def kind_of(key: str, default: Any) -> type:
    """The type of a key; a duration that is unset is a whole number."""
    kind = int if default is None and key.endswith(UNITS) else type(default)
    if kind not in WORDS:
        raise UsageError(
            f"config.{key} cannot be swept: it is neither number, text nor truth value"
        )
    return kind


def typed(key: str, value: Any, kind: type) -> Any:
    """A value, typed or as text, in the type of its key; `UsageError` if it is of another."""
    refusal = UsageError(f"config.{key} takes {WORDS[kind]}, not {value!r}")
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
    """All values of an axis that has them, in the type of its key."""
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
    """Raise `UsageError` for a log or linear axis of a key that is no number."""
    if kind not in (int, float):
        raise UsageError(f"config.{axis.key} takes {WORDS[kind]}; write a list: {axis.key}=A,B")


def whole_ends(axis: Axis) -> tuple[int, int]:
    """The ends of an interval of whole numbers; `UsageError` if they are none."""
    for end in (axis.low, axis.high):
        if end != int(end):
            raise UsageError(f"config.{axis.key} takes whole numbers; {axis} has the end {end:g}")
    return int(axis.low), int(axis.high)


def drawn(axis: Axis, kind: type, share: float) -> Any:
    """The value of an axis that a uniform draw from [0, 1) stands for.

    A list is drawn uniformly. So are the whole numbers of a linear interval; in a log
    interval of whole numbers n has the probability of (n - 1/2, n + 1/2).
    """
    if axis.values is not None:
        values = typed_values(axis, kind)
        return values[int(share * len(values))]
    require_number(axis, kind)
    if kind is float:
        return between(axis.scale, axis.low, axis.high, share)
    low, high = whole_ends(axis)
    if axis.scale == "linear":
        return low + int(share * (high - low + 1))
    value = math.exp(math.log(low - 0.5) + share * math.log((high + 0.5) / (low - 0.5)))
    return min(max(round(value), low), high)
