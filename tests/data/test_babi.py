"""The reader of bAbI gives back what was written, and names files and lines that are damaged."""

from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.data import babi
from tests.helpers.data_files import DATA, data_or_skip

TEXT = """1 Mary moved to the bathroom.
2 John took the Apple there.
3 Where is Mary? \tbathroom\t1
4 John went back to the hall.
5 What is John carrying?\tapple,milk\t2 4
1 Sandra is here.
2 Is Sandra here?\tyes\t1
"""
WORDS = (
    "", "apple", "apple,milk", "back", "bathroom", "carrying", "hall", "here", "is", "john", "mary",
    "moved", "sandra", "the", "there", "to", "took", "went", "what", "where", "yes",
)  # fmt: skip
# Counted from the files by another program: questions whose answer comes first in the alphabet,
# words with answers and NIL, longest sentence, most sentences, most supporting sentences
FACTS = {
    1: (303, 20, 6, 10, 1),
    2: (320, 34, 6, 88, 2),
    3: (383, 35, 7, 228, 3),
    4: (336, 15, 7, 2, 1),
    5: (273, 40, 7, 102, 1),
    6: (995, 36, 6, 26, 1),
    7: (936, 44, 6, 34, 8),
    8: (398, 46, 6, 58, 8),
    9: (1271, 24, 7, 10, 1),
    10: (272, 25, 9, 10, 1),
    11: (300, 27, 8, 10, 2),
    12: (343, 21, 8, 10, 1),
    13: (335, 27, 8, 10, 2),
    14: (340, 26, 8, 14, 2),
    15: (503, 18, 5, 8, 2),
    16: (477, 18, 4, 9, 3),
    17: (975, 19, 11, 2, 2),
    18: (1026, 19, 9, 15, 2),
    19: (173, 32, 10, 5, 2),
    20: (188, 36, 7, 12, 1),
}


def written(path: Path, text: str = TEXT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def test_questions_come_back_as_they_were_written(tmp_path: Path) -> None:
    one, two, three = babi.read_questions(written(tmp_path / "q.txt"))
    assert one.story == (
        ("mary", "moved", "to", "the", "bathroom"),
        ("john", "took", "the", "apple", "there"),
    )
    assert (one.words, one.answer, one.support) == (("where", "is", "mary"), "bathroom", (0,))
    assert two.story == (*one.story, ("john", "went", "back", "to", "the", "hall"))
    assert (two.words, two.answer) == (("what", "is", "john", "carrying"), "apple,milk")
    assert two.support == (1, 2)  # IDs count questions, places in the story do not
    assert three.story == (("sandra", "is", "here"),)
    assert babi.vocabulary([one, two, three]) == WORDS
    assert babi.longest_sentence([one, two, three]) == 6


def test_arrays_hold_the_last_sentences(tmp_path: Path) -> None:
    asked = {4: babi.read_questions(written(tmp_path / "q.txt"))}
    stories = babi.encode(asked, WORDS, sentence_words=6, max_sentences=2)

    def numbers(text: str) -> list[int]:
        return [WORDS.index(w) for w in text.split()] + [0] * (6 - len(text.split()))

    taken, back = numbers("john took the apple there"), numbers("john went back to the hall")
    moved, nothing = numbers("mary moved to the bathroom"), [0] * 6
    expected = babi.Stories(
        np.array([[moved, taken], [taken, back], [numbers("sandra is here"), nothing]], np.int32),
        np.array([2, 2, 1], np.int32),
        np.array([*map(numbers, ("where is mary", "what is john carrying", "is sandra here"))]),
        np.array([*map(WORDS.index, ("bathroom", "apple,milk", "yes"))]),
        np.array([[0, -1], [0, 1], [0, -1]]),
        np.array([4, 4, 4]),
    )
    for name, found, right in zip(babi.Stories._fields, stories, expected, strict=True):
        np.testing.assert_array_equal(found, right, err_msg=name)
        assert found.dtype == np.int32
    cut = babi.encode(asked, WORDS, sentence_words=6, max_sentences=1)
    np.testing.assert_array_equal(cut.support_NxF, [[-1, -1], [0, -1], [0, -1]])
    np.testing.assert_array_equal(cut.story_NxMxJ[1], [back])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 A b.\nx c\n", r"line 2: 'x c' is neither 'ID sentence' nor 'ID question<tab>"),
        ("1 A b.\n2 Why?\tno\n", "line 2: '2 Why.*' is neither"),
        ("1 A b.\n2 Why?\tno\t3\n", "line 2: no sentence of its story has the ID 3"),
        ("1 A b.\n1 C.\n2 Why?\tno\t1 2\n", "line 3: no sentence of its story has the ID 2"),
        ("1 A b.\n2 Why?\tno\tx\n", "has the ID x"),
        ("1 A b.\n2 Why?\t \t1\n", "line 2: it has no answer"),
        ("1 A b.\n2 C d.\n2 E f.\n", "line 3: its ID 2 does not follow 2"),
        ("1 A b.\n2 .\n", "line 2: it has no words"),
        ("1 A b.\n", "holds no questions"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path / "q.txt", text)
    with pytest.raises(UsageError, match=words) as caught:
        babi.read_questions(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7", (7,)),
        ("3,1", (1, 3)),
        ("1-3, 2-4,20", (1, 2, 3, 4, 20)),
        ("all", tuple(range(1, 21))),
    ],
)
def test_tasks_are_named_by_number(text: str, numbers: tuple[int, ...]) -> None:
    assert babi.task_numbers(text) == numbers


@pytest.mark.parametrize("text", ["0", "21", "3-1", "2,99"])
def test_an_unknown_number_is_answered_with_the_range(text: str) -> None:
    with pytest.raises(UsageError, match=r"unknown bAbI task .* are 1 \(single.* to 20 \(agents"):
        babi.task_numbers(text)


@pytest.mark.parametrize("text", ["", "one", "1,", "-1", "1.0"])
def test_what_is_no_number_is_answered_with_the_form(text: str) -> None:
    with pytest.raises(UsageError, match="number must be a bAbI task from 1 to 20, several such"):
        babi.task_numbers(text)


@pytest.mark.parametrize("number", FACTS)
def test_facts_about_the_tasks(number: int) -> None:
    parts = babi.load([number], data_or_skip(DATA["babi"]))
    assert [len(parts[part][number]) for part in ("train", "test")] == [1000, 1000]
    both = [question for part in parts.values() for question in part[number]]
    answers = [question.answer for question in both]
    found = (
        answers.count(min(answers)),
        len(babi.vocabulary(both)),
        babi.longest_sentence(both),
        max(len(question.story) for question in both),
        max(len(question.support) for question in both),
    )
    assert found == FACTS[number]


def test_all_files_are_known_by_name_and_checksum() -> None:
    folder = data_or_skip(DATA["babi"]) / "babi" / "en"
    files = [babi.data_file(number, part) for number in range(1, 21) for part in babi.PARTS]
    assert {Path(file.path).name for file in files} == {path.name for path in folder.iterdir()}
    for file in files:
        assert babi.digest(folder / Path(file.path).name) == file.sha256 == file.data_sha256


@pytest.mark.parametrize("folder", ["babi/en", "tasks_1-20_v1-2/en"])
def test_a_file_with_other_line_ends_is_taken(tmp_path: Path, folder: str) -> None:
    for part in babi.PARTS:
        name = Path(babi.data_file(1, part).path).name
        text = (data_or_skip(DATA["babi"]) / "babi" / "en" / name).read_text()
        written(tmp_path / folder / name, text.replace("\n", "\r\n"))
    assert len(babi.load([1], tmp_path)["test"][1]) == 1000


def test_another_word_is_refused(tmp_path: Path) -> None:
    path = babi.data_file(1, "train").path
    text = (data_or_skip(DATA["babi"]) / path).read_text()
    other = written(tmp_path / path, text.replace("Mary", "Sandra", 1))
    with pytest.raises(UsageError, match="is damaged or not the expected one") as caught:
        babi.load([1], tmp_path)
    assert str(other) in str(caught.value)
