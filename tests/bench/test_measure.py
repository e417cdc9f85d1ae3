"""The process of a contender: its death is told by its name."""

import sys

import pytest

from rnnexp.bench.measure import Contender
from rnnexp.core.errors import RunError
from tests.helpers.bench_rows import TINY


def test_a_contender_that_dies_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Contender("rnnexp") as process, pytest.raises(RunError, match="process of rnnexp died"):
        process.ask(TINY, "lstm", 0.1)
