"""What a benchmark found: ratios are taken round by round, and tables say them."""

from rnnexp.bench import results
from tests.helpers.bench_rows import row


def test_ratios_are_taken_round_by_round() -> None:
    found = row()
    assert found.median("rnnexp") == 2.0
    assert found.ratio("flax.linen.RNN") == 2.5  # of 3, 2 and 2.5, and not 4 / 2
    assert found.fastest_peer() == "flax.linen.RNN"
    assert results.summary([found]) == [
        {"fastest peer / rnnexp": "lstm", "tiny": "2.50 (flax.linen.RNN)"}
    ]
    assert found.loop_cost() is None
    assert results.loop_text(found) == ""
    both = found._replace(times=found.times | {"rnnexp, bare step": [0.5, 2.0, 3.2]})
    assert both.loop_cost() == 0.25  # of 1, 0 and 0.25
    assert "costs +25.0% over the bare step" in results.loop_text(both)
    failed = results.table(found)[-1]
    assert failed["contender"] == "flax.nnx.RNN"
    assert failed["ms a step"] == "failed"
