"""A file of sentence pairs is read line by line; a source is in one part, wherever it stands."""

import hashlib
from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data.sentence_pairs import PARTS, Pair, read_pairs, require_parts, split_pairs


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_a_line_is_a_pair(tmp_path: Path) -> None:
    """Windows line ends, a byte order mark, and a separator that is none of a line's end."""
    text = "\ufeffThe cat.\tDie Katze.\r\nIt\u2019s\u2028late\tEs ist spät!\n"
    found = read_pairs(written(tmp_path / "p.tsv", text), lower=True, marks=True)
    assert found == [
        Pair(("the", "cat", "."), ("die", "katze", "."), 1),
        Pair(("it\u2019s", "late"), ("es", "ist", "spät", "!"), 2),
    ]
    [first, _] = read_pairs(tmp_path / "p.tsv", lower=False, marks=False)
    assert first == Pair(("The", "cat."), ("Die", "Katze."), 1)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no target", "line 3: expected a source, one tab and a target, .* is no tab in 'no targ"),
        ("", "line 3: .* there is no tab in ''"),
        ("a\tb\tc", r"line 3: .* there is 2 tabs in 'a\\tb\\tc'"),
        ("x" * 50, f"in '{'x' * 40}'\\.\\.\\."),
        ("a\t ", "line 3: the target has no word"),
        ("\tb", "line 3: the source has no word"),
        ("a\tb <eos>", "line 3: the target has the word <eos>, by which a network ends"),
    ],
)
def test_a_line_that_will_not_do_is_named(tmp_path: Path, line: str, words: str) -> None:
    file = written(tmp_path / "p.tsv", f"a\tb\nc\td\n{line}\ne\tf\n")
    with pytest.raises(UsageError, match=words):
        read_pairs(file, lower=True, marks=True)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.tsv").write_bytes(b"a\tb\xe4\n")
    for name, words in (("none.tsv", "none.tsv: No such"), ("latin.tsv", "is not UTF-8: byte 3")):
        with pytest.raises(UsageError, match=words):
            read_pairs(tmp_path / name, lower=True, marks=True)


def test_the_hash_of_a_source_decides_its_part() -> None:
    pairs = [Pair((str(number % 3_000), "x"), (str(number),)) for number in range(6_000)]
    parts = split_pairs(pairs, 0.2, 0.1)
    assert sum(map(len, parts.values())) == 6_000
    for name, fraction in zip(PARTS, (0.7, 0.2, 0.1), strict=True):
        assert abs(len(parts[name]) / 6_000 - fraction) < 0.03
    sources = [{pair.source for pair in parts[name]} for name in PARTS]
    assert sum(map(len, sources)) == 3_000  # none is in two
    again = split_pairs([*reversed(pairs), Pair(("new",), ("y",))], 0.2, 0.1)
    for name in PARTS:
        assert set(again[name]) - {Pair(("new",), ("y",))} == set(parts[name])
    fraction = int(hashlib.sha256(b"17 x").hexdigest()[:8], 16) / 2**32
    [name] = [name for name in PARTS if ("17", "x") in {pair.source for pair in parts[name]}]
    assert name == PARTS[(fraction >= 0.7) + (fraction >= 0.9)]


def test_parts_that_are_wanted_have_pairs() -> None:
    parts = {"train": [Pair(("a",), ("b",))], "valid": [], "test": []}
    require_parts(parts, ["train"], "f.tsv")
    with pytest.raises(UsageError, match=r"the validation part of f.tsv has none of its 1 pairs"):
        require_parts(parts, PARTS, "f.tsv")
    with pytest.raises(UsageError, match="their sum below 1"):
        split_pairs([], 0.5, 0.5)
