"""Runs filtered and sorted by keys, scores and what their user says of them."""

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from rnnexp.config.aliases import meant_key
from rnnexp.core.errors import UsageError, unknown
from rnnexp.results.groups import full_key, status_kind
from rnnexp.results.metrics import PREFIXES, known_metrics, metric_value
from rnnexp.results.summary import Record

OWN: dict[str, Callable[[Record], Any]] = {
    "run": lambda record: record.run,
    "status": status_kind,
    "step": lambda record: record.step,
    "age": lambda record: -record.mtime_ns,
    "name": lambda record: record.about.name or None,
    "tag": lambda record: record.about.tags,
    "note": lambda record: record.about.note or None,
}
"""What a run has beside its keys and scores. `age` is for sorting: the youngest first."""
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
FORM = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|<|>|=|~)\s*(.*?)\s*", re.DOTALL)
FORMS = "KEY=VALUE,VALUE, KEY!=VALUE, KEY<NUMBER (or <=, >, >=), KEY~TEXT"


class Condition(NamedTuple):
    """A condition on runs: `optimizer.learning_rate >= 1e-3`."""

    key: str
    sign: str
    text: str


def parse_condition(text: str) -> Condition:
    """The condition of a text such as `cell=lstm,gru`; `UsageError` for one of another form."""
    match = FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"--where {text!r} is of no known form; write {FORMS}")
    condition = Condition(*match.groups())
    if condition.sign in ORDERS:
        try:
            float(condition.text)
        except ValueError as error:
            raise UsageError(f"--where {text!r}: {condition.text!r} is no number") from error
    return condition


def select(records: Sequence[Record], conditions: Iterable[Condition]) -> list[Record]:
    """The runs that meet all conditions, in their order; `UsageError` for a key that none has.

    A run without a value meets `!=` alone. `~` asks whether the value, as text, has this text in
    it, in any case of letters. A run has a tag if one of its tags is the value.
    """
    kept = list(records)
    for condition in conditions:
        value_of = _reader(records, condition.key)
        kept = [record for record in kept if _meets(value_of(record), condition)]
    return kept


def ordered(records: Sequence[Record], key: str, *, descending: bool = False) -> list[Record]:
    """The runs by the value of a key, those without one last; equal ones keep their order.

    Numbers come before texts. Raises `UsageError` for a key that no run has.
    """
    value_of = _reader(records, key)
    valued = [(value_of(record), record) for record in records]
    having = [(_place(value), record) for value, record in valued if value is not None]
    having.sort(key=lambda pair: pair[0], reverse=descending)
    return [record for _, record in having] + [record for value, record in valued if value is None]


def _reader(records: Sequence[Record], key: str) -> Callable[[Record], Any]:
    """The function that reads a key's value of a run."""
    if key in OWN:
        return OWN[key]
    known = {name for record in records for name in record.keys}
    metrics = known_metrics(records)
    if key in metrics or (key.startswith(PREFIXES) and not metrics):
        return lambda record: metric_value(record, key)
    if not records or full_key(key) in known:
        return lambda record: record.keys.get(full_key(key))
    names = [*OWN, *metrics, *known, "cell", "task"]
    raise unknown("key of runs", key, names, meant=meant_key(key, names))


def _meets(value: Any, condition: Condition) -> bool:
    if condition.sign == "!=":
        return not _is_among(value, condition.text)
    if value is None:
        return False
    if condition.sign == "=":
        return _is_among(value, condition.text)
    if condition.sign == "~":
        return condition.text.lower() in _text(value).lower()
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and ORDERS[condition.sign](value, float(condition.text))


def _is_among(value: Any, text: str) -> bool:
    """Whether a value is one of those in a text with commas."""
    if isinstance(value, tuple):
        return any(_is_among(one, text) for one in value)
    wanted = text.split(",")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _text(value) in wanted or text == _text(value)
    return any(_number(part) == value for part in wanted)


def _text(value: Any) -> str:
    """A value as it is typed in a condition: truth values in small letters, lists with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _place(value: Any) -> tuple[int, float, str]:
    """A sort key: numbers, then texts."""
    number = isinstance(value, int | float) and value == value
    return (0, float(value), "") if number else (1, 0.0, _text(value))
