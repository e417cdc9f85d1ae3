"""Looks of runs: never two alike, and what colours say; in groups where there are too many runs."""

import random
from collections.abc import Sequence

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.report.looks import PAGE, Kinds, Looks, look_by_number, run_looks, words


def looks_of(cells: int, settings: int, seeds: int, kinds: Kinds = PAGE) -> tuple[Looks, list]:
    """Looks of so many settings of each cell, each with so many seeds; and the runs' names."""
    runs = [
        (cell, cell * settings + setting, seed)
        for cell in range(cells)
        for setting in range(settings)
        for seed in range(seeds)
    ]
    return run_looks([run[0] for run in runs], [run[1] for run in runs], kinds), runs


@pytest.mark.parametrize(
    ("cells", "settings", "seeds"),
    [
        (1, 1, 1), (1, 1, 18), (1, 1, 60), (1, 18, 1), (18, 1, 1), (3, 2, 3), (6, 1, 3), (2, 9, 1),
        (20, 1, 3), (2, 3, 5), (60, 1, 1), (4, 3, 5), (1, 12, 5), (18, 2, 3), (2, 8, 4),
    ],
)  # fmt: skip
def test_no_two_runs_look_alike_and_a_colour_says_the_cell(
    cells: int, settings: int, seeds: int
) -> None:
    got, runs = looks_of(cells, settings, seeds)
    assert got.unit == "run"
    assert len(set(got.looks)) == len(runs)
    owner = 0 if cells > 1 else 1 if settings > 1 else 2
    assert got.colour == ("cell", "setting", "run")[owner]
    colours: dict[int, int] = {}
    for run, look in zip(runs, got.looks, strict=True):
        assert colours.setdefault(run[owner], look.colour) == look.colour
    assert len(set(colours.values())) == min(len(colours), PAGE.colours)
    assert "no two runs look alike" in words(got)


@pytest.mark.parametrize("seed", range(200))
def test_whatever_the_runs_units_never_look_alike(seed: int) -> None:
    generator = random.Random(seed)
    kinds = Kinds(*(generator.randint(1, 8) for _ in range(3)))
    count, cells, settings = (generator.randint(1, 80) for _ in range(3))
    runs = [(generator.randrange(cells), generator.randrange(settings)) for _ in range(count)]
    groups = [cell * settings + setting for cell, setting in runs]
    got = run_looks([cell for cell, _ in runs], groups, kinds)
    members: dict[str, Sequence[int]] = {
        "run": range(count), "setting": groups, "cell": [cell for cell, _ in runs],
        "page": [0] * count,
    }  # fmt: skip
    units = members[got.unit]
    by_unit: dict[int, set] = {}
    for unit, look in zip(units, got.looks, strict=True):
        by_unit.setdefault(unit, set()).add(look)
        assert all(0 <= part < most for part, most in zip(look, kinds, strict=True))
    assert all(len(looks) == 1 for looks in by_unit.values())
    assert len(set(got.looks)) == len(by_unit) == got.units
    assert words(got, kinds)


def test_more_runs_than_can_be_told_apart_are_groups_and_said_to_be() -> None:
    alike, _ = looks_of(2, 3, 20)  # 60 runs in a colour that has 32 looks
    assert (alike.unit, alike.units, alike.colour) == ("setting", 6, "cell")
    assert len(set(alike.looks)) == 6
    assert "120 runs are more than" in words(alike)
    assert "those of a setting are drawn alike: 6 groups" in words(alike)
    cells, _ = looks_of(2, 40, 1)
    assert (cells.unit, len(set(cells.looks))) == ("cell", 2)
    seeds, _ = looks_of(1, 1, 300)
    assert (seeds.unit, seeds.colour, len(set(seeds.looks))) == ("setting", "setting", 1)
    everything, _ = looks_of(300, 1, 1)
    assert (everything.unit, len(set(everything.looks))) == ("page", 1)
    assert "all are drawn alike" in words(everything)


@pytest.mark.parametrize("kinds", [PAGE, Kinds(6, 1, 10), Kinds(6, 4, 10), Kinds(2, 5, 3)])
def test_numbered_looks_never_repeat_and_end_with_a_refusal(kinds: Kinds) -> None:
    most = kinds.colours * kinds.dashes * kinds.markers
    assert len({look_by_number(number, kinds) for number in range(most)}) == most
    first = [look_by_number(number, kinds).colour for number in range(kinds.colours)]
    assert first == list(range(kinds.colours))
    with pytest.raises(UsageError, match=rf"can tell {most} things apart.*`rnnexp report`"):
        look_by_number(most, kinds)
