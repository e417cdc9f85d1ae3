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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "cp1252", "Latin_1"])
def test_a_text_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    content = "d\xe9j\xe0 vu\r\n"
    (tmp_path / "t.txt").write_bytes(content.encode(encoding))
    assert text.read_text(tmp_path / "t.txt", encoding) == content


def test_where_a_text_leaves_its_encoding_is_named_with_those_that_can_read_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes("ab\xe9".encode("latin-1"))
    with pytest.raises(UsageError, match=r"not utf-8: byte 2 .* is 0xe9.*cp1252, latin-1 can"):
        text.read_text(path, "utf-8")
    with pytest.raises(UsageError, match=r"not ascii: byte 2 .* is 0xe9.*cp1252, latin-1 can"):
        text.read_text(path, "ascii")
    path.write_bytes(b"ab\x81")  # cp1252 has no such byte
    with pytest.raises(UsageError, match=r"option encoding \(latin-1 can read it\)"):
        text.read_text(path, "utf-8")
    path.write_bytes("ab".encode("utf-16"))
    with pytest.raises(UsageError, match=r"byte 0 .* option encoding \(utf-16 can read it\)"):
        text.read_text(path, "utf-8")
    with pytest.raises(UsageError, match=r"Convert it, for example with iconv\.$"):
        text.read_text(path)
    path.write_bytes(b"x\xff")
    with pytest.raises(UsageError, match="is not punycode"):
        text.read_text(path, "punycode")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("latin_11", "latin-1"), ("cp1252x", "cp1252")],
)
def test_an_unknown_encoding_is_named_with_the_nearest(
    tmp_path: Path, name: str, meant: str
) -> None:
    with pytest.raises(UsageError, match=f"unknown encoding .* Did you mean '{meant}"):
        text.read_text(tmp_path / "absent.txt", name)


@pytest.mark.parametrize("name", ["", "zlib", "base64", "\0", "\udcff", "a" * 5000, "../../x"])
def test_what_is_no_encoding_of_a_text_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"unknown encoding .* utf-16, cp1252, latin-1") as caught:
        text.require_encoding(name)
    assert len(str(caught.value)) < 250
    assert f"mean {name!r}" not in str(caught.value)


def test_unknown_symbols_have_a_class_on_demand() -> None:
    content = "abba" + "cab\u20ac"
    codes = text.encode(content, "ab", Path("f"), 2)
    assert codes.tolist() == [0, 1, 1, 0, 2, 0, 1, 2]
    assert codes.dtype == np.int32
    assert text.unknown_symbols(content, "ab") == {"c": 1, "\u20ac": 1}


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
