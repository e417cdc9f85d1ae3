"""Runs of a search wait for their program, within bounds."""

from pathlib import Path

from rnnexp.sweep.search.queue import Searcher
from tests.helpers.small_search import trials_in


def test_runs_of_other_programs_wait_within_bounds_and_none_is_lost(tmp_path: Path) -> None:
    trials, die = trials_in(tmp_path, "here", 14)
    searcher = Searcher(trials, most=3, told=lambda status: None)
    seen: list[str] = []
    groups: list[int] = []
    while (program := searcher.next_program()) is not None:
        groups.append(program)
        while (run := searcher.take(program)) is not None:
            assert run.group == program
            seen.append(run.run)
            assert sum(map(len, searcher.waiting.values())) <= 3
    assert len(seen) == len(set(seen)) == 14
    assert set(groups) == {0, 1}
    die()
