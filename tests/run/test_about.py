"""Names, tags and notes are kept beside a run, change nothing of it, and survive the index."""

import json
import os
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.results import index
from rnnexp.results.index import read_index
from rnnexp.results.load import find_run, find_runs
from rnnexp.run.about import FILE, About, read_about, write_about
from tests.helpers.synthetic_runs import write_run


def test_what_is_said_adds_up(tmp_path: Path) -> None:
    assert read_about(tmp_path) == About()
    write_about(tmp_path, About())
    assert not (tmp_path / FILE).exists()
    write_about(tmp_path, About("first", ("a", "b", "a"), "why\nnot"))
    write_about(tmp_path, About(tags=("c", "-a")))
    assert read_about(tmp_path) == About("first", ("b", "c"), "why\nnot")
    write_about(tmp_path, About("second"))
    assert read_about(tmp_path).name == "second"


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (About("x" * 81), "--name takes 80 characters at most, not 81"),
        (About("a\nb"), "--name takes one line of text"),
        (About(tags=("a,b",)), "--tag takes a word without a comma, not 'a,b'"),
        (About(tags=("-",)), "--tag takes a word"),
        (About(tags=("",)), "--tag takes a word"),
        (About(note="x" * 10_001), "--note takes 10,000 characters"),
    ],
)
def test_what_cannot_be_said_is_refused(tmp_path: Path, about: About, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        write_about(tmp_path, about)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["[1]", '{"name": 1}', '{"tags": "a"}', "{"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(UsageError, match=r"about\.json"):
        read_about(tmp_path)


def test_a_run_is_found_by_its_name_and_the_index_keeps_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "WORTHWHILE", 1)
    runs = [write_run(tmp_path, "adding/lstm", {"seed": seed}, age=seed) for seed in range(3)]
    for said in (About("mine", ("t",)), About("other", ("u",), "note")):
        write_about(tmp_path / runs[1], said)
        for _ in range(2):  # read, then from the cache
            record = read_index(tmp_path)[1]
            assert record.about == read_about(tmp_path / runs[1])
            assert read_index(tmp_path)[0].about == About()
        assert find_run(said.name, tmp_path) == tmp_path / runs[1]
    assert (tmp_path / index.INDEX).exists()
    with pytest.raises(UsageError, match="unknown run 'mine'"):
        find_run("mine", tmp_path)
    with pytest.raises(UsageError, match="3 runs are called 'adding/lstm'; name a directory"):
        find_runs("adding/lstm", tmp_path, most=1)
    assert find_run("adding/lstm", tmp_path) == tmp_path / runs[2]


def test_a_damaged_file_does_not_hide_which_run_it_is(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (tmp_path / run / FILE).write_text(json.dumps({"tags": 3}))
    (record,) = read_index(tmp_path)
    assert (record.run, record.status) == (run, "damaged")
    assert "texts: name, tags" in record.reason
    os.unlink(tmp_path / run / FILE)
    assert read_index(tmp_path)[0].status == "completed"
