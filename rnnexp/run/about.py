"""What a user says of a run: a name, tags and a note, in `about.json` of its directory.

They are no part of the configuration: they do not change a run's id, nor how it is resumed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rnnexp.core.errors import UsageError
from rnnexp.core.files import replace_text, to_json
from rnnexp.run.files import read_json

FILE = "about.json"
MOST_CHARACTERS = {"name": 80, "tag": 40, "note": 10_000}


class About(NamedTuple):
    """A run's name, its tags in the order in which they were given, and a note; empty: none."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""


def read_about(path: Path | str) -> About:
    """What is said of the run in a directory; `UsageError` if its `about.json` is damaged."""
    content = read_json(Path(path) / FILE) or {}
    try:
        return about_of(content)
    except ValueError as error:
        raise UsageError(f"{Path(path) / FILE} is damaged: {error}") from error


def about_of(content: dict[str, Any]) -> About:
    """What the content of an `about.json` says; `ValueError` if it is none."""
    name, tags, note = content.get("name", ""), content.get("tags", []), content.get("note", "")
    texts = [name, note, *tags] if isinstance(tags, list) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("it must hold texts: name, tags (a list) and note")
    return About(name, tuple(tags), note)


def write_about(path: Path, about: About) -> None:
    """Add to what is said of a run: the name and the note if there are any, and the tags.

    A tag that begins with `-` is taken away. `UsageError` for a text that is too long or, but for
    a note, has line breaks.
    """
    require_about(about)
    before = read_about(path)
    removed = [tag[1:] for tag in about.tags if tag.startswith("-")]
    added = [tag for tag in about.tags if not tag.startswith("-")]
    tags = [tag for tag in dict.fromkeys([*before.tags, *added]) if tag not in removed]
    after = About(about.name or before.name, tuple(tags), about.note or before.note)
    if after != before:
        replace_text(path / FILE, to_json(after._asdict(), indent=2) + "\n")


def require_about(about: About) -> None:
    """Raise `UsageError` for a name, tag or note that cannot be one."""
    texts: Sequence[tuple[str, str]] = [
        ("name", about.name), ("note", about.note), *(("tag", tag) for tag in about.tags)
    ]  # fmt: skip
    for kind, text in texts:
        if len(text) > (most := MOST_CHARACTERS[kind]):
            raise UsageError(f"--{kind} takes {most:,} characters at most, not {len(text):,}")
        if kind != "note" and not text.isprintable():
            raise UsageError(f"--{kind} takes one line of text, not {text[:60]!r}")
        if kind == "tag" and (not text.strip("-").strip() or "," in text):
            raise UsageError(f"--tag takes a word without a comma, not {text!r}")
