"""The tables of cells and tasks: entries, registration, plug-ins."""

import importlib.metadata
import inspect
from collections.abc import Sequence

import pytest

import rnnexp
from rnnexp.cells import CELLS
from rnnexp.core.errors import UsageError
from rnnexp.core.registry import GIVEN, MODES, READING_MODES, Entry, Table
from rnnexp.tasks import TASKS
from tests.helpers.own_tables import own_tables  # noqa: F401

ENTRIES = [(table, name) for table in (CELLS, TASKS) for name in table.builtin]


@pytest.mark.parametrize(("table", "name"), ENTRIES, ids=[name for _, name in ENTRIES])
def test_every_entry_is_a_callable_with_defaults(table: Table, name: str) -> None:
    entry = table.entry(name)
    parameters = inspect.signature(entry.factory()).parameters
    options = {n: p for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert all(p.default is not p.empty for p in options.values())
    assert entry.options() == {n: p.default for n, p in options.items() if n not in GIVEN}
    assert not set(GIVEN) & set(entry.options())
    positional = ["input_size", "hidden_size"] if table is CELLS else []
    assert [n for n in parameters if n not in options] == positional
    assert entry.summary
    assert "\n" not in entry.summary


def test_modes_are_known_and_a_task_has_one() -> None:
    """Or several, of which its options choose one: bAbI's graphs ask for a node, or as a whole, a
    series and a formal language for an answer at the end, or at every step."""
    assert all(set(CELLS.entry(name).modes) <= set(MODES) for name in CELLS.builtin)
    modes = {name: TASKS.entry(name).modes for name in TASKS.builtin}
    assert modes.pop("babi_graph") == ("graph_to_node", "graph_to_one")
    for name in ("series", "formal_language"):
        assert modes.pop(name) == ("sequence_to_one", "synchronous")
    assert all(len(of_task) == 1 and of_task[0] in MODES for of_task in modes.values())


@pytest.mark.parametrize("name", ["copy_memory", "adding", "digits"])
def test_a_task_has_the_mode_of_its_entry(name: str) -> None:
    task = TASKS.entry(name).factory()()
    assert (task.name, (task.mode,)) == (name, TASKS.entry(name).modes)


@pytest.mark.parametrize(
    ("table", "name", "words"),
    [
        (CELLS, "lstmm", "unknown cell 'lstmm'. Did you mean 'lstm'?"),
        (TASKS, "copy-memory", "unknown task 'copy-memory'. Did you mean 'copy_memory'?"),
        (TASKS, "zzz", "unknown task 'zzz'. Known: adding, addition, associative_recall,"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(table: Table, name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        table.entry(name)
    assert words in str(caught.value)


@pytest.mark.usefixtures("own_tables")
def test_a_registered_cell_is_listed_and_keeps_its_options() -> None:
    def mine(input_size: int, hidden_size: int, *, leak: float = 0.5) -> None:
        """Leaks a little.

        More words.
        """

    assert rnnexp.cell("mine", defaults={"train.batch_size": 8})(mine) is mine
    entry = CELLS.entry("mine")
    assert CELLS.names() == [*CELLS.builtin, "mine"]
    assert entry == Entry(mine, "Leaks a little.", READING_MODES, {"train.batch_size": 8})
    assert entry.options() == {"leak": 0.5}
    config = rnnexp.experiment("adding/mine")
    assert (config.cell.leak, config.train.batch_size) == (0.5, 8)


@pytest.mark.usefixtures("own_tables")
def test_a_registration_that_clashes_is_refused() -> None:
    with pytest.raises(UsageError, match="cell 'lstm' exists already"):
        rnnexp.cell("lstm")
    with pytest.raises(UsageError, match=r"unknown mode 'synchronos'\. Did you mean 'synchronous'"):
        rnnexp.task("mine", modes=("synchronos",))
    rnnexp.cell("mine")(lambda input_size, hidden_size: None)
    assert CELLS.entry("mine").summary == "mine"
    with pytest.raises(UsageError, match="cell 'mine' exists already"):
        rnnexp.cell("mine")
    assert TASKS.names() == list(TASKS.builtin)


@pytest.mark.usefixtures("own_tables")
def test_an_option_without_a_default_is_refused() -> None:
    def mine(input_size: int, hidden_size: int, *, leak: float) -> None:
        """Leaks."""

    rnnexp.cell("mine")(mine)
    with pytest.raises(UsageError, match=r"option 'leak'.*needs a default"):
        CELLS.entry("mine").options()


class Points:
    """Stands in for `importlib.metadata.entry_points`, and counts what it was asked."""

    def __init__(self, **offers: str):
        self.offers, self.asked = offers, list[str]()

    def __call__(self, *, group: str) -> Sequence[importlib.metadata.EntryPoint]:
        self.asked.append(group)
        return [importlib.metadata.EntryPoint(n, v, group) for n, v in self.offers.items()]


def cells_with_plugins(monkeypatch: pytest.MonkeyPatch, points: Points) -> Table:
    """A fresh table of cells that sees these entry points."""
    monkeypatch.setattr(importlib.metadata, "entry_points", points)
    return Table("cell", {"lstm": CELLS.entry("lstm")})


def test_plugins_are_read_once_and_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = Points(extra="rnnexp.cells.gru:gru")
    table = cells_with_plugins(monkeypatch, points)
    table.entry("lstm")
    assert points.asked == []
    assert table.names() == ["lstm", "extra"]
    assert table.entry("extra").factory() is CELLS.entry("gru").factory()
    assert "rnnexp.cells.gru:gru" in table.entry("extra").summary
    with pytest.raises(UsageError, match="Known: extra, lstm"):
        table.entry("other")
    assert points.asked == ["rnnexp.cells"]


def test_a_plugin_is_found_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    table = cells_with_plugins(monkeypatch, Points(extra="rnnexp.cells.gru:gru"))
    assert table.entry("extra").modes == READING_MODES


def test_a_plugin_cannot_replace_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    table = cells_with_plugins(monkeypatch, Points(lstm="somewhere:else"))
    with pytest.raises(UsageError, match="'lstm' of the plug-in somewhere:else exists already"):
        table.names()
    assert table.entry("lstm") == CELLS.entry("lstm")


@pytest.mark.parametrize("value", ["no_such_package:cell", "rnnexp.cells.gru:nothing"])
def test_a_broken_plugin_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    table = cells_with_plugins(monkeypatch, Points(extra=value))
    with pytest.raises(UsageError, match=value):
        table.entry("extra").factory()


@pytest.mark.usefixtures("own_tables")
def test_a_task_is_registered_with_one_mode() -> None:
    with pytest.raises(UsageError, match="mode"):
        rnnexp.task("both", modes=MODES)(lambda: None)
    with pytest.raises(UsageError, match="mode"):
        rnnexp.task("neither")(lambda: None)
