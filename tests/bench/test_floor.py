"""What this machine can do at most."""

from rnnexp.bench.floor import machine_rates, matrix_rate
from tests.helpers.bench_rows import TINY
from tests.helpers.kernel_cells import needs_compiler


def test_the_matrix_rate_is_positive() -> None:
    assert matrix_rate(TINY, "lstm", 0.01) > 0


@needs_compiler
def test_rates_of_the_machine_are_bounds() -> None:
    """A product of matrices, whose operations and bytes are known, is slower than either."""
    rates = machine_rates(0.02)
    assert 1e9 < rates.flops < 1e15
    assert 1e8 < rates.bytes < 1e13
    assert matrix_rate(TINY, "lstm", 0.01) < rates.flops
