"""The stories of the bAbI tasks: twenty kinds of questions about short texts.

Weston, Bordes, Chopra, Rush, van Merriënboer, Joulin & Mikolov 2015, "Towards AI-complete
question answering: a set of prerequisite toy tasks", version 1.2: the English files with 1,000
training and 1,000 test questions a task (Creative Commons Attribution 3.0).

A line is `ID sentence` or `ID question<tab>answer<tab>IDs of supporting sentences`. IDs grow;
where they go back to 1, a new story begins. A question is about all sentences of its story before
it. As in the code of Sukhbaatar, Szlam, Weston & Fergus 2015, words are written in small letters,
and an answer of several words (`apple,football`) is one word of its own.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnexp.core.errors import UsageError
from rnnexp.data.files import DataFile, find
from rnnexp.data.text import read_text

ARCHIVE = DataFile(
    "babi/babi.tar.gz",
    "f7f0bee187efca0d81c3daac1b162cda4eb7f9505dee5ad6846eabbed3dbf92e",
    [
        "https://dl.fbaipublicfiles.com/parlai/babi/babi.tar.gz",
        "http://parl.ai/downloads/babi/babi.tar.gz",
    ],
)
FOLDER = "tasks_1-20_v1-2/en"
"""Of the stories, in the archive."""
NAMES = (
    "single-supporting-fact", "two-supporting-facts", "three-supporting-facts",
    "two-arg-relations", "three-arg-relations", "yes-no-questions", "counting", "lists-sets",
    "simple-negation", "indefinite-knowledge", "basic-coreference", "conjunction",
    "compound-coreference", "time-reasoning", "basic-deduction", "basic-induction",
    "positional-reasoning", "size-reasoning", "path-finding", "agents-motivations",
)  # fmt: skip
"""The tasks 1 to 20."""
PARTS = ("train", "test")
SHA256 = {
    "train": (
        "c64ba9b1a49bbb111ffc4cd2ae4f129d25c012399dd7ade9679eea464b9afb05",
        "a4978af5bc0dc30191810e7c9949aaa6eae939ed0f6beb9fcb5f4330c2a27860",
        "a6e78019f36a02a7ed71fe6aaded0b563ff09c8deec392931801fcd9c6af4d60",
        "c9370502d85fa382f32d1fea2111e817f81ae9e3e79eb2924a1a5392a90417fa",
        "086cd59c3ca9677bfac3d6a22ca5853c76a5c1fbae3159c7c4a6aef759a74ec0",
        "5a133115ee35d475776df703ff605d145b11effbcdbf7e74861f9d5639246a5a",
        "dca03bd91876951c49f1c971c83c9dd55404de60201b7b6435451cf7ddb4751c",
        "058604df6f9440458317e8ae685d2b7b84261e1a80b4d6410a9140d16f81bf06",
        "0c3b89921af0caea1c4059ee3f7b7f2a88869f924195a428da37820446b8c49f",
        "0b7691689447bab05476c5b48c44999b41e747c3978df69c18fdd87b60d6e8b3",
        "9468de9a1f256f43dfda693a5d07182d21149a82b65f7c2451c64e9cff5eb138",
        "45c2764bb2d3c8f699d35e9d9aa7958fcd96379c6e907116cdf74526c108bb25",
        "533a391edbda743e4c99504de88b40cdded5b1d5ef454d1390f0863f748a4cc9",
        "b7561cbc624205c9c2fdbb8c843cfa8ad90edd65e78bb223fc6dea8113662df8",
        "e856ebfdcce4dd7d617c1d10f985e96a0850c0ca18e9a19a017cb710d135ed3d",
        "20121005137e3d4b061a086eb177a456303d5742b764eb8da2d0e480b6af4d28",
        "20083bf56ff74f0e7cf5e3e2f8c3905cdb8ef09293c3e8cf7a96ed8b45ae2277",
        "18b7dcf52c9a0e87e4e7dd3d65b7e5a630de039645f52a1294197af7481d739d",
        "dcb788352a56effb7bea1449128f31cc9c342c8c327b6df2caeee0e379e6ad3a",
        "29580ad55fb7b4b29ba014696056cc68f8f347dac3be88470fd692ad60150398",
    ),
    "test": (
        "55acf66cef2f6d798e2aa1d056e1ec8f24e910ea9215b639450574321132959b",
        "eff93fb9cd81ba02eb765772cf7cc269769ed44ec71cbbbc19cfb16ee5eba0f6",
        "17795c977100baf8188f386522ae301b62d6c1a13efc01b3aea781e588b4d57f",
        "07f0ca18ddeea9eed4ba6d59e162adcb0ce44815721114b3540d92825509331e",
        "ec825c1c8a76e63a31f0d7a7763cd63740e98332fa9bdf246a19068949bd5f97",
        "b108b16f1eccbd1c24df6dca2649079a7b2f10af7fd12d4c45a3393802de59e3",
        "a74d1f2b91329b2bae814d41cdac2fbdfdf0328562b7d8afa9a0fa576d461e27",
        "362a653c821a580fa315a85243b4f03bfa06fa7e0269b6f8e596f8fe6911646a",
        "63590aff3f89993db409f0e9a9eb39c2a5b9d5efff99b255d800a891b0044d9f",
        "fde8f20ed0b3ba979058ed391a566af34653f23baab5b2793ee37f87ef4e88b7",
        "46f3290d0158ce1285a40cd2d793f5a65f86ae5000226e165cbc85a3dfeb2f6f",
        "6437718f8f9801ce345869e910b896836cdc6fd2d01dc7b4d2df49730703b4b1",
        "76a25b684f23c9cc473d8cd1465506168b9a1ec8891cfc59d0bbd87e6a064990",
        "e3f0b19858ffbec3ed1e49076cc4d1295a89ce146c50318b862f13f202b3caf2",
        "32b77e117fe9acf5f94906684e3b5206de0108e646c76e1da3e022896ec7ee94",
        "4a11e55366f2a5a859b5a81f683ee23801bdbe71ef984e51adb976bd053e8dcf",
        "9e1e0250ed4ec1831757fab26c04138f81ea557ebf6976a220db879cbed04bac",
        "d34f70eb7228a276fcb3a7854174fe562c5634f4fb454a39fc3d1ad9934be3ef",
        "023e391f0d7f79c9e6ae1c46c093e2d0dbd50ab8fbd8965e037a75e3614c20e5",
        "bd3bde3788ac14ba0ae095078f7b820fbd2bfa6a34dba9d1d46a34afde9c2729",
    ),
}
"""Of the files of tasks 1 to 20."""
NIL = ""
"""Word 0, which fills sentences and stories up."""


class Question(NamedTuple):
    """A question, its answer, and the sentences before it, each as its words.

    `support` are the places in `story` of the sentences that the answer follows from.
    """

    story: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    answer: str
    support: tuple[int, ...]


class Stories(NamedTuple):
    """Questions as word numbers (int32); 0 (`NIL`) fills up: J words, M sentences.

    Attributes:
      story_NxMxJ: the last sentences before each question, the oldest first.
      sentences_N: how many those are.
      question_NxJ, answer_N: the question and its answer.
      support_NxF: the places in the story of the supporting sentences, -1 behind the last;
        sentences that were left out are not among them.
      task_N: the task's number.
    """

    story_NxMxJ: np.ndarray
    sentences_N: np.ndarray
    question_NxJ: np.ndarray
    answer_N: np.ndarray
    support_NxF: np.ndarray
    task_N: np.ndarray


Questions = dict[int, list[Question]]
"""Of each task, by its number."""


def task_numbers(text: str) -> tuple[int, ...]:
    """The tasks that a text names: `"1"`, `"1,2"`, `"1-5,15"` or `"all"`; in order, each once.

    Raises `UsageError` for any other text, and unless all lie in 1 to 20.
    """
    if text.strip() == "all":
        return tuple(range(1, len(NAMES) + 1))
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        if match is None:
            raise UsageError(
                f"number must be a bAbI task from 1 to {len(NAMES)}, several such as '1-3,15', or "
                f"'all', not {text!r}"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= len(NAMES):
            raise UsageError(
                f"unknown bAbI task {part.strip()!r}: the tasks are 1 ({NAMES[0]}) to {len(NAMES)} "
                f"({NAMES[-1]}), or 'all'"
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def load(numbers: Iterable[int], data_dir: Path | None = None) -> dict[str, Questions]:
    """The questions of these tasks by part, `train` and `test`.

    Raises `UsageError` as `find` and `read_questions` do.
    """
    numbers = tuple(numbers)
    return {
        part: {n: read_questions(find(data_file(n, part), data_dir)) for n in numbers}
        for part in PARTS
    }


def data_file(number: int, part: str) -> DataFile:
    """The file of a task and a part; line ends may be those of another system."""
    name = f"qa{number}_{NAMES[number - 1]}_{part}.txt"
    sha256 = SHA256[part][number - 1]
    return DataFile(
        f"babi/en/{name}",
        sha256,
        [],
        others=(f"babi/{FOLDER}/{name}", f"{FOLDER}/{name}"),
        digest=digest,
        data_sha256=sha256,
        archive=ARCHIVE,
        member=f"{FOLDER}/{name}",
    )


def digest(path: Path) -> str:
    """The SHA-256 of a text's characters in UTF-8, with the line ends of Unix."""
    return hashlib.sha256(read_text(path).replace("\r\n", "\n").encode()).hexdigest()


def read_questions(path: Path) -> list[Question]:
    """All questions of a file, in its order.

    Raises `UsageError`, with the file and the line, for a line of another form, and for a file
    without questions.
    """
    questions: list[Question] = []
    story: dict[int, tuple[str, ...]] = {}
    last = 0
    for line_number, line in enumerate(read_text(path).splitlines(), 1):
        try:
            number, (text, *rest) = _fields(line)
            if number == 1:
                story = {}
            elif number <= last:
                raise ValueError(f"its ID {number} does not follow {last}")
            last = number
            if rest:
                questions.append(_question(story, text, *rest))
            else:
                story[number] = _words(text)
        except ValueError as error:
            raise UsageError(f"{path} is damaged: line {line_number:,}: {error}") from error
    if not questions:
        raise UsageError(f"{path} holds no questions")
    return questions


def _fields(line: str) -> tuple[int, list[str]]:
    """The ID and the text of a line, and of a question the answer and its support."""
    number, _, text = line.partition(" ")
    fields = text.split("\t")
    if not (number.isascii() and number.isdecimal()) or len(fields) not in (1, 3):
        raise ValueError(
            f"{line[:60]!r} is neither 'ID sentence' nor 'ID question<tab>answer<tab>IDs'"
        )
    return int(number), fields


def _question(story: dict[int, tuple[str, ...]], text: str, answer: str, support: str) -> Question:
    """The question about the sentences of a story by their IDs."""
    places = {number: place for place, number in enumerate(story)}
    unknown = [number for number in support.split() if number not in map(str, places)]
    if unknown or not answer.strip():
        what = (
            f"no sentence of its story has the ID {unknown[0]}" if unknown else "it has no answer"
        )
        raise ValueError(what)
    return Question(
        tuple(story.values()),
        _words(text),
        answer.strip().lower(),
        tuple(places[int(number)] for number in support.split()),
    )


def _words(text: str) -> tuple[str, ...]:
    """The words of a sentence in small letters, without the stop or question mark."""
    words = tuple(re.sub(r"[.?]", " ", text.lower()).split())
    if not words:
        raise ValueError("it has no words")
    return words


def vocabulary(questions: Iterable[Question]) -> tuple[str, ...]:
    """`NIL`, then the distinct words of stories, questions and answers in their sorted order."""
    words: set[str] = set()
    for question in questions:
        words.update(question.words, (question.answer,), *question.story)
    return NIL, *sorted(words)


def encode(
    questions: Questions, words: Sequence[str], *, sentence_words: int, max_sentences: int
) -> Stories:
    """Questions as arrays; the last `max_sentences` sentences are kept.

    Args:
      words: the vocabulary, in which every word is.
      sentence_words: J, at least the words of the longest sentence and question.
    """
    rows = [(number, question) for number, asked in questions.items() for question in asked]
    kept = [question.story[-max_sentences:] for _, question in rows]
    most_sentences = max(1, *map(len, kept))
    most_support = max(1, *(len(question.support) for _, question in rows))
    number_of = {word: number for number, word in enumerate(words)}
    stories = Stories(
        np.zeros((len(rows), most_sentences, sentence_words), np.int32),
        np.asarray([len(story) for story in kept], np.int32),
        np.zeros((len(rows), sentence_words), np.int32),
        np.asarray([number_of[question.answer] for _, question in rows], np.int32),
        np.full((len(rows), most_support), -1, np.int32),
        np.asarray([number for number, _ in rows], np.int32),
    )
    for n, ((_, question), story) in enumerate(zip(rows, kept, strict=True)):
        for s, sentence in enumerate(story):
            stories.story_NxMxJ[n, s, : len(sentence)] = [number_of[word] for word in sentence]
        stories.question_NxJ[n, : len(question.words)] = [number_of[w] for w in question.words]
        left_out = len(question.story) - len(story)
        support = [place - left_out for place in question.support if place >= left_out]
        stories.support_NxF[n, : len(support)] = support
    return stories


def longest_sentence(questions: Iterable[Question]) -> int:
    """J: the words of the longest sentence or question."""
    return max(len(words) for q in questions for words in (q.words, *q.story))
