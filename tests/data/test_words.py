"""Texts are divided into words, counted, and joined again as their options say."""

from pathlib import Path

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data.text import read_text
from rnnexp.data.words import (
    LINE_END,
    UNKNOWN,
    encode_words,
    join_words,
    split_words,
    word_vocabulary,
)

TEXT = "Don't say: <unk> costs 3.50!\nThe dog\u2019s tail \u2014 isn't.\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {},
            "don't say : <unk> costs 3 . 50 ! the dog\u2019s tail \u2014 isn't .",
        ),
        (
            {"lower": False, "line_ends": True},
            "Don't say : <unk> costs 3 . 50 ! <eos> The dog\u2019s tail \u2014 isn't . <eos>",
        ),
        ({"marks": False}, "don't say: <unk> costs 3.50! the dog\u2019s tail \u2014 isn't."),
    ],
    ids=["defaults", "lines", "spaces"],
)
def test_a_text_is_divided_into_words(options: dict[str, bool], words: str) -> None:
    assert split_words(TEXT, **options) == words.split(" ")


def test_the_vocabulary_has_the_most_frequent_words_first() -> None:
    words = ["b", "a", "c", "b", "a", "d", "b", "<unk>", "<unk>", "<unk>", "<unk>"]
    assert word_vocabulary(words) == (UNKNOWN, "b", "a", "c", "d")
    assert word_vocabulary(words, most=3) == (UNKNOWN, "b", "a")
    assert word_vocabulary(words, least_count=2) == (UNKNOWN, "b", "a")
    assert word_vocabulary(words, most=2, least_count=2) == (UNKNOWN, "b")
    with pytest.raises(UsageError, match="no word occurs 9 times or more in the training part"):
        word_vocabulary(words, least_count=9)


def test_words_outside_the_vocabulary_are_the_class_0() -> None:
    assert encode_words(["a", "new", "b", "<unk>", "a"], (UNKNOWN, "b", "a")).tolist() == [
        2,
        0,
        1,
        0,
        2,
    ]


def test_words_are_joined_by_spaces_and_lines() -> None:
    assert join_words(["a", "b", ","]) == "a b ,"
    assert join_words([LINE_END, "a", LINE_END, LINE_END, "b", LINE_END]) == "\na\n\nb\n"


def test_a_text_of_words_survives(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("the cat sat\non the mat\n")
    words = split_words(read_text(file), line_ends=True)
    assert join_words(words) == file.read_text()
