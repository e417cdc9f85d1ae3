"""The rate at which this machine multiplies matrices."""

from rnnexp.bench.floor import matrix_rate
from tests.helpers.bench_rows import TINY


def test_the_matrix_rate_is_positive() -> None:
    assert matrix_rate(TINY, "lstm", 0.01) > 0
