"""Synthetic tasks refuse options that will not do."""

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.train.build import build_task


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adding", {"form": "1996"}, "unknown config.task.form '1996'"),
        ("adding", {"operation": "difference"}, "unknown config.task.operation 'difference'"),
        ("adding", {"form": "1997", "length_steps": 19}, "length_steps must be at least 20"),
        ("temporal_order", {"form": "1996"}, "unknown config.task.form '1996'"),
        ("temporal_order", {"symbols": 4}, "symbols must be 2 or 3, not 4"),
        ("temporal_order", {"length_steps": 9}, "length_steps must be at least 10, not 9"),
        ("temporal_order", {"length_steps": 0}, "length_steps must be at least 10, not 0"),
        ("delayed_xor", {"delay_steps": 0}, "delay_steps must be at least 1, not 0"),
        ("parity", {"length_steps": 1}, "length_steps must be at least 2, not 1"),
        ("parity", {"length_steps": 0}, "length_steps must be at least 2, not 0"),
        ("associative_recall", {"pairs": 0}, r"pairs must be 1 to 8 \(symbols\).* not 0"),
        ("associative_recall", {"pairs": 9}, r"pairs must be 1 to 8 \(symbols\).* not 9"),
        ("associative_recall", {"symbols": 1}, "symbols must be at least 2, not 1"),
        ("selective_copy", {"items": 0}, "items must be at least 1, not 0"),
        ("selective_copy", {"length_steps": 4}, r"at least 5 \(items\), not 4"),
        ("selective_copy", {"length_steps": 0}, r"at least 5 \(items\), not 0"),
        ("mackey_glass", {"tau": 18}, "tau must be 17 or 30, not 18"),
        ("mackey_glass", {"length_steps": 100}, "length_steps must be above 100"),
        ("mackey_glass", {"length_steps": 0}, "length_steps must be above 100"),
        ("narma10", {"length_steps": 50}, "length_steps must be above 50"),
        ("narma10", {"length_steps": 0}, "length_steps must be above 50"),
    ],
)
def test_bad_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_task(name, None, **options)
