"""Options of factories: the source says what the imported function says, and None has a type."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.cells import CELLS
from rnnexp.core.registry import GIVEN, Table
from rnnexp.core.signature import (
    REQUIRED,
    Option,
    argument_meanings,
    options_in_source,
    options_of,
)
from rnnexp.models.heads import HEADS
from rnnexp.tasks import TASKS

ENTRIES = [(table, name) for table in (CELLS, TASKS, HEADS) for name in table.builtin]


@pytest.mark.parametrize(("table", "name"), ENTRIES, ids=[name for _, name in ENTRIES])
def test_the_source_says_what_the_function_says(table: Table, name: str) -> None:
    entry = table.entry(name)
    module, _, function = str(entry.target).partition(":")
    read = options_in_source(module, function)
    assert read is not None
    imported = options_of(entry.factory())
    assert [*read] == [*imported]
    for option in imported.keys() - set(GIVEN):
        one, two = read[option], imported[option]
        assert (one.default, one.kind, one.meaning) == (two.default, two.kind, two.meaning)
    assert {name: option.default for name, option in imported.items()} == {
        p.name: p.default
        for p in inspect.signature(entry.factory()).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }


def test_options_of_built_in_entries_are_read_without_jax() -> None:
    program = """
import sys
from rnnexp.cells import CELLS
from rnnexp.tasks import TASKS
print([len(t.entry(n).options()) > 0 for t, n in ((CELLS, "lstm"), (TASKS, "copy_memory"))])
print("jax" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[True, True]\nFalse\n", done.stderr


SOURCE = '''
LIMIT = 3

def plain(*, leak: "float | None" = None, size=2, need: int, name: str = "a" "b"):
    """Plain.

    Args:
      leak: how much. More.
    """

def computed(*, size=LIMIT): ...

def twice(*, a=1): ...

def twice(*, a=2): ...

@staticmethod
def decorated(*, size=1): ...
'''


def test_what_a_source_does_not_show_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shown_options.py").write_text(SOURCE + "raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert options_in_source("shown_options", "plain") == {
        "leak": Option(None, "'float | None'", "how much"),
        "size": Option(2, "", ""),
        "need": Option(REQUIRED, "int", ""),
        "name": Option("ab", "str", ""),
    }
    for name in ("computed", "twice", "decorated", "nothing"):
        assert options_in_source("shown_options", name) is None
    for module in ("no_such_module", "no.such.module", "sys", "math"):
        assert options_in_source(module, "plain") is None


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        (Option(1, "float", ""), int),
        (Option(None, "float | None", ""), float),
        (Option(None, "None | int", ""), int),
        (Option(None, "Optional[str]", ""), str),
        (Option(None, "'bool | None'", ""), bool),
        (Option(None, "", ""), None),
        (Option(None, "Path | None", ""), None),
    ],
)
def test_the_type_of_an_option(option: Option, kind: type | None) -> None:
    assert option.kind is kind


def test_a_meaning_is_the_first_sentence_about_an_argument() -> None:
    text = """What it makes.

Args:
  one: of two lines, 0.5 or
    more: both of them. Not this.
  two, three: both alike.

Raises `UsageError` for four: always.
"""
    assert argument_meanings(text) == {
        "one": "of two lines, 0.5 or more: both of them",
        "two": "both alike",
        "three": "both alike",
    }
    assert argument_meanings("") == {}
