"""Points of a sweep from its texts, and what is said of them."""

import logging
from typing import Any

import pytest

from rnnexp.config.overrides import from_command_line
from rnnexp.config.schema import flat
from rnnexp.core.errors import UsageError
from rnnexp.sweep.space import Point, expand, parse_space, read_base

RATE = "optimizer.learning_rate"


def points(
    *texts: str,
    name: str | None = "adding/rnn",
    given: tuple[str, ...] = (),
    seeds: str | None = None,
    draw_seed: int = 0,
) -> list[Point]:
    """The points of `--sweep` texts, with the base's arguments typed without `--config.`."""
    base = read_base(name, [f"--config{'' if '=' not in g else '.'}{g}" for g in given])
    return expand(parse_space(texts, seeds=seeds, draw_seed=draw_seed), base)


def values(found: list[Point], key: str) -> list[Any]:
    """The values of a key over the points' configurations."""
    return [flat(p.config)[key] for p in found]


def refusal(*texts: str, **keywords: Any) -> str:
    """What the refusal of a sweep says."""
    with pytest.raises(UsageError) as caught:
        points(*texts, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the library has logged."""
    return [r.getMessage() for r in caplog.records if r.name == "rnnexp"]


def hear(caplog: pytest.LogCaptureFixture) -> None:
    """Let `logged` see what is said; to be made a fixture."""
    caplog.set_level(logging.INFO, "rnnexp")


def as_run(name: str, *given: str) -> Any:
    """The configuration of a single run with these overrides."""
    return from_command_line(name, [f"--config.{g}" for g in given])
