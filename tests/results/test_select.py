"""Runs are filtered and sorted by keys, scores, names and tags; unknown ones get a suggestion."""

from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.results.index import read_index
from rnnexp.results.select import ordered, parse_condition, select
from rnnexp.results.summary import Record
from rnnexp.run.about import About, write_about
from tests.helpers.synthetic_runs import write_run


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """Runs a to d: two learning rates, a GRU that diverged and one of another task."""
    made = [
        ("adding/lstm", {"optimizer.learning_rate": 1e-3}, {"test": {"loss": 0.3}, "valid": 0.5}),
        ("adding/lstm", {"optimizer.learning_rate": 1e-2}, {"test": {"loss": 0.1}, "valid": 0.6}),
        ("adding/gru", {"model.residual": True}, {"status": "diverged"}),
        ("copy_memory/rnn", {"eval.lengths": [20, 40]}, {"test": {"loss": 0.2}}),
    ]
    for age, (name, changes, facts) in enumerate(made):
        run = write_run(tmp_path, name, changes, age=age, **facts)  # type: ignore[arg-type]
        write_about(tmp_path / run, About("abcd"[age], ("odd",) if age % 2 else ("even", "x")))
    return read_index(tmp_path)


def names(records: list[Record]) -> str:
    return "".join(record.about.name for record in records)


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ("cell=lstm", "ab"),
        ("cell.name=lstm,gru", "abc"),
        ("cell!=lstm", "cd"),
        ("optimizer.learning_rate=0.01", "b"),
        ("optimizer.learning_rate=1e-2", "b"),
        ("optimizer.learning_rate>=0.01", "b"),
        ("optimizer.learning_rate < 0.002; cell=lstm", "a"),
        ("test_loss<0.25", "bd"),
        ("test_loss<=0.2;task=copy_memory", "d"),
        ("valid_loss>0.55", "b"),
        ("status=diverged", "c"),
        ("status!=diverged", "abd"),
        ("model.residual=true", "c"),
        ("model.residual>0", ""),
        ("eval.lengths=20,40", "d"),
        ("tag=odd", "bd"),
        ("tag=x,odd", "abcd"),
        ("tag!=odd", "ac"),
        ("tag~OD", "bd"),
        ("name=a,d", "ad"),
        ("name~B", "b"),
        ("task.delay_steps>0", "d"),
        ("step=2000", "abcd"),
        ("run~copy", "d"),
    ],
)
def test_conditions(records: list[Record], conditions: str, found: str) -> None:
    assert names(select(records, map(parse_condition, conditions.split(";")))) == found


@pytest.mark.parametrize(
    ("key", "up", "down"),
    [
        ("test_loss", "bdac", "adbc"),
        ("cell", "cabd", "dabc"),
        ("optimizer.learning_rate", "acdb", "bdac"),
        ("age", "dcba", "abcd"),
        ("name", "abcd", "dcba"),
        ("task.delay_steps", "dabc", "dabc"),
    ],
)
def test_orders(records: list[Record], key: str, up: str, down: str) -> None:
    rates = {r.about.name: r.keys["optimizer.learning_rate"] for r in records}
    assert names(ordered(records, key))[0] == up[0]
    if key == "optimizer.learning_rate":  # two runs have the defaults of their tasks
        expected = sorted("abcd", key=rates.__getitem__)
        assert names(ordered(records, key)) == "".join(expected)
        return
    assert names(ordered(records, key)) == up
    assert names(ordered(records, key, descending=True)) == down


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cell", "is of no known form; write KEY=VALUE"),
        ("=lstm", "no known form"),
        ("step<many", "'many' is no number"),
        ("test_loss>", "'' is no number"),
    ],
)
def test_a_wrong_condition_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=r"--where ") as caught:
        parse_condition(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("key", "meant"),
    [("lr", "optimizer.learning_rate"), ("test_los", "test_loss"), ("statu", "status"),
     ("cell.hiden_size", "cell.hidden_size")],
)  # fmt: skip
def test_an_unknown_key_gets_a_suggestion(records: list[Record], key: str, meant: str) -> None:
    for use in (
        lambda: ordered(records, key),
        lambda: select(records, [parse_condition(f"{key}=1")]),
    ):
        with pytest.raises(UsageError, match=f"Did you mean '{meant}'"):
            use()
    assert select([], [parse_condition(f"{key}=1")]) == ordered([], key) == []
