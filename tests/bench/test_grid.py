"""The grid: sizes that fit the budget, and tables of what was found."""

from rnnexp.bench import grid
from rnnexp.bench.workloads import step_flops
from tests.helpers.bench_rows import row


def test_every_size_is_there_with_as_many_steps_as_the_budget_has() -> None:
    works = grid.sizes()
    assert len({(w.hidden_size, w.batch_size) for w in works}) == 20
    assert {w.steps for w in works} == set(grid.STEPS)
    for work in works:
        flops = step_flops(work, "lstm")
        assert flops <= grid.MOST_FLOPS or work.steps == min(grid.STEPS)
        longer = [steps for steps in grid.STEPS if steps > work.steps]
        more = work._replace(steps=longer[0]) if longer else None
        assert more is None or step_flops(more, "lstm") > grid.MOST_FLOPS


def test_tables_have_a_place_for_every_size_and_variant() -> None:
    found = row()
    work = found.work._replace(hidden_size=64, batch_size=8)
    (line,) = grid.size_table([found._replace(work=work)], "lstm")
    assert line["lstm"] == "H = 64"
    assert line["B = 8"] == "2.50 (flax, T 20)"
    assert line["B = 1"] == ""
    variants = [found._replace(work=work) for work in grid.VARIANTS[:2]]
    first, second = grid.variant_table(variants)
    assert first == {"variant": "one layer", "lstm": "2.50 (flax, T 200)"}
    assert second["variant"] == "three layers"
