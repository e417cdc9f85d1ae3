"""The answer follows from the chain of facts, and from no fewer."""

import math
from typing import Any

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.tasks.base import Task
from rnnexp.tasks.chained_facts import chained_facts
from tests.helpers.synthetic_batches import batch_of


def told(task: Task, size: int) -> tuple[list[list[list[str]]], list[str], list[str]]:
    """Facts as words, the persons asked for, and the answers of a batch."""
    batch, words = batch_of(task, size), np.array(task.words)
    stories = words[np.asarray(batch.context["story"])].tolist()
    questions = words[np.asarray(batch.context["question"])].tolist()
    assert {(first, rest) for first, _, rest in questions} == {("where", "")}
    return stories, [q[1] for q in questions], words[np.asarray(batch.targets)].tolist()


def follow(facts: list[list[str]], person: str) -> tuple[str, list[int]]:
    """Where following the facts from a person ends, and the places of the facts used."""
    used: list[int] = []
    while len(used) <= len(facts) and (
        steps := [n for n, (subject, _, _) in enumerate(facts) if subject == person]
    ):
        (step,) = steps
        used.append(step)
        person = facts[step][2]
    return person, used


@pytest.mark.parametrize("facts", [1, 2, 4])
def test_the_answer_takes_all_facts_of_its_chain(facts: int) -> None:
    task = chained_facts(facts=facts)
    places = {f"place_{n}" for n in range(1, 7)}
    stories, asked, answers = told(task, 50)
    for story, person, answer in zip(stories, asked, answers, strict=True):
        end, used = follow(story, person)
        assert end == answer
        assert len(used) == len(set(used)) == facts
        assert len(story) == 6 * facts
        for missing in used:  # without it one ends at a person of whom nothing is told
            rest = [fact for n, fact in enumerate(story) if n != missing]
            assert follow(rest, person)[0] not in places
        assert sorted(fact[2] for fact in story if fact[1] == "in") == sorted(places)
        persons = [fact[0] for fact in story]
        assert len(set(persons)) == len(persons)


def test_one_fact_of_two_says_nothing() -> None:
    """Whatever a fact says, and whomever the question is about, all answers are as likely."""
    size = 20_000
    stories, asked, answers = told(chained_facts(facts=2, places=2, distractors=1), size)
    seen: dict[Any, list[str]] = {}
    for story, person, answer in zip(stories, asked, answers, strict=True):
        seen.setdefault((person, *story[0]), []).append(answer)
    assert len(seen) == 4 * (4 * 3 - 3 + 3 * 2)  # no chain leads to the person asked for
    for said, given in seen.items():
        share = given.count("place_1") / len(given)
        assert abs(share - 1 / 2) < 4.5 * math.sqrt(1 / 4 / len(given)), said


def test_facts_are_shuffled_and_read_word_by_word() -> None:
    task = chained_facts(facts=2)
    stories, asked, _ = told(task, 600)
    first = [follow(story, person)[1][0] for story, person in zip(stories, asked, strict=True)]
    counts = np.bincount(first, minlength=12) / 600
    np.testing.assert_allclose(counts, 1 / 12, atol=4.5 * math.sqrt(1 / 12 / 600))
    batch, words = batch_of(task, 600), task.words or ()
    read = np.asarray(batch.inputs_TxBxI).argmax(-1)
    for b in (0, 599):
        text = [word for fact in stories[b] for word in fact]
        assert [words[w] for w in read[:, b]] == [*text, "where", asked[b]]
    assert batch.lengths_B is None


def test_persons_may_be_more_than_a_story_has() -> None:
    task = chained_facts(facts=2, distractors=1, persons=30)
    stories, _, _ = told(task, 200)
    assert len({fact[0] for story in stories for fact in story}) == 30
    assert task.baseline == {"loss": math.log(6), "accuracy": 1 / 6}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"facts": 0}, "facts must be at least 1, not 0"),
        ({"places": 1}, "places must be at least 2, not 1"),
        ({"distractors": -1}, "distractors must be at least 0, not -1"),
        ({"persons": 11}, "persons must be 0 or at least 12, those of 6 chains of 2 facts, not 11"),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        chained_facts(**options)
