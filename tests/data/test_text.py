"""The text reader numbers and splits the symbols, and names bytes and symbols that will not do."""

from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data import text
from tests.helpers.babble import babble, written


@pytest.mark.parametrize("content", ["a", babble(500), "line\r\nline\r", "mark\ufeffs"])
def test_a_text_comes_back_as_it_was_written(tmp_path: Path, content: str) -> None:
    assert text.read_text(written(tmp_path / "t.txt", content)) == content


def test_a_byte_order_mark_is_no_symbol(tmp_path: Path) -> None:
    with_mark = written(tmp_path / "marked.txt", "\ufeffabba")
    assert text.read_text(with_mark) == "abba"
    assert text.digest(with_mark) == text.digest(written(tmp_path / "plain.txt", "abba"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        ("\ufeff".encode(), "is empty"),
        ("a\xe9\u20ac".encode() + b"\xff more", "byte 6 .* is 0xff, invalid start byte"),
        (b"x" * 2_000 + b"\xc3", "byte 2,000 .* is 0xc3, unexpected end"),
        (babble(50).encode("utf-16"), "byte 0 .* is 0xff"),
    ],
    ids=["empty", "mark", "start byte", "cut symbol", "utf-16"],
)
def test_a_wrong_text_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = written(tmp_path / "wrong.txt", content)
    with pytest.raises(UsageError, match=words) as caught:
        text.read_text(path)
    assert str(path) in str(caught.value)


def test_a_missing_text_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the text file .*absent.txt: No such file"):
        text.read_text(tmp_path / "absent.txt")
    with pytest.raises(UsageError, match="Is a directory"):
        text.read_text(tmp_path)


def test_the_vocabulary_is_sorted_and_numbers_the_symbols() -> None:
    content = babble(300)
    alphabet = text.vocabulary(content)
    assert sorted(alphabet) == list(alphabet) == sorted(set(content))
    codes = text.encode(content, alphabet, Path("f"))
    assert codes.dtype == np.int32
    assert "".join(alphabet[code] for code in codes) == content


@pytest.mark.parametrize("symbol", ["\t", "\xe8", "\U0001f600"], ids=["below", "within", "above"])
def test_an_unseen_symbol_is_named_with_its_place(symbol: str) -> None:
    content = "ab\n\xe9a\nb" + symbol + "b\n" + symbol
    with pytest.raises(UsageError, match=f"U\\+{ord(symbol):04X}") as caught:
        text.encode(content, "\nab\xe9", Path("some/file.txt"))
    for part in ("some/file.txt", repr(symbol), "character 7 (counted from 0), line 3,"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("length", "fractions", "expected"),
    [
        (1_115_394, (0.1, 0.0), (1_003_854, 1_115_394)),
        (1_115_394, (0.05, 0.05), (1_003_854, 1_059_624)),
        (10, (0.4, 0.4), (2, 6)),
        (100, (0.07, 0.03), (90, 97)),
    ],
)
def test_a_text_is_cut_in_order(
    length: int, fractions: tuple[float, float], expected: tuple[int, int]
) -> None:
    assert text.split_ends(length, *fractions) == expected


@pytest.mark.parametrize("fractions", [(0.0, 0.1), (1.0, 0.0), (0.5, 0.5), (0.1, -0.1), (-1, 0.5)])
def test_fractions_must_leave_something_to_train_on(fractions: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="valid_fraction must be above 0"):
        text.split_ends(100, *fractions)
