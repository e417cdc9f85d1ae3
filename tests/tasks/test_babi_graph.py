"""The answer of every story follows from its facts by the rules of its task."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.tasks.babi_graph import STORIES, TEST_GRAPHS, babi_graph
from rnnexp.tasks.base import Finite
from tests.helpers.task_batches import batch_of

OPPOSITE = {0: 1, 1: 0, 2: 3, 3: 2}
Facts = list[tuple[int, int, int]]


def places(facts: Facts, begin: int) -> dict[int, tuple[int, int]]:
    """Coordinates of all places, from facts `a lies d of b`."""
    move = {0: (0, 1), 1: (0, -1), 2: (1, 0), 3: (-1, 0)}
    at = {begin: (0, 0)}
    while len(at) < len({x for a, b, _ in facts for x in (a, b)}):
        for a, b, d in facts:
            for new, old, way in ((a, b, d), (b, a, OPPOSITE[d])):
                if old in at and new not in at:
                    at[new] = (at[old][0] + move[way][0], at[old][1] + move[way][1])
    return at


def lies(facts: Facts, x_VxI: np.ndarray) -> int:
    centre, d = np.argwhere(x_VxI)[0]
    (answer,) = [a for a, b, way in facts if (b, way) == (centre, d)] + [
        b for a, b, way in facts if (a, way) == (centre, OPPOSITE[d])
    ]
    return answer


def feared(facts: Facts, x_VxI: np.ndarray) -> int:
    is_, of = ({a: b for a, b, kind in facts if kind == k} for k in (0, 1))
    assert all(a != b for a, b in of.items())
    return of[is_[int(x_VxI[:, 0].argmax())]]


def coloured(facts: Facts, x_VxI: np.ndarray) -> int:
    is_, of = ({a: b for a, b, kind in facts if kind == k} for k in (0, 1))
    asked = int(x_VxI[:, 0].argmax())
    assert asked not in of
    (answer,) = {of[name] for name, kind in is_.items() if kind == is_[asked] and name in of}
    return answer


def bigger(facts: Facts, x_VxI: np.ndarray) -> int:
    a, b = (int(v) for v in x_VxI.argmax(0))
    below = {a: b for a, b, _ in facts}
    while a in below:
        a = below[a]
        if a == b:
            return 1
    return 0


def two_steps(facts: Facts, x_VxI: np.ndarray) -> int:
    a, b = (int(v) for v in x_VxI.argmax(0))
    at = places(facts, a)
    assert len(set(at.values())) == len(at) == 5  # no two places are one
    neighbours = {(x, y): d for x, y, d in facts} | {(y, x): OPPOSITE[d] for x, y, d in facts}
    (found,) = [
        4 * neighbours[m, a] + neighbours[b, m]
        for m in range(5)
        if (m, a) in neighbours and (b, m) in neighbours
    ]
    assert sum(abs(c) for c in at[b]) in (1, 2)
    return found


RULES: dict[str, Callable[[Facts, np.ndarray], int]] = {
    "4": lies, "15": feared, "16": coloured, "18": bigger, "19": two_steps,
}  # fmt: skip


@pytest.mark.parametrize("number", STORIES)
def test_the_answer_follows_from_the_facts(number: str) -> None:
    task = babi_graph(number=number)
    assert task.mode == ("graph_to_node" if number in ("4", "15", "16") else "graph_to_one")
    assert isinstance(task.train, Finite)
    assert task.train.size == 50
    answers, seen = [], []
    batch = batch_of(task, "valid", TEST_GRAPHS)
    context = {name: np.asarray(leaf) for name, leaf in batch.context.items()}
    for b in range(TEST_GRAPHS):
        kinds = context["types"][b].argmax(-1)
        facts = list(
            zip(*(context[name][b].tolist() for name in ("senders", "receivers")),
                kinds.tolist(), strict=True)
        )  # fmt: skip
        answers.append(RULES[number](facts, context["annotations"][b]))
        seen.append(facts[0])
    assert answers == np.asarray(batch.targets).tolist()
    likely = {"18": 2, "19": 12}.get(number, task.num_steps - 1)
    assert task.baseline == {"loss": math.log(likely), "accuracy": 1 / likely}
    assert len(set(answers)) == (3 if number == "4" else likely + (number in ("15", "16")))
    shares = np.unique(answers, return_counts=True)[1] / TEST_GRAPHS
    expected = 1 / len(set(answers))
    assert np.all(np.abs(shares - expected) < 4.5 * math.sqrt(expected / TEST_GRAPHS))
    assert len(set(seen)) > 4  # nodes are in random order


def test_parts_are_others() -> None:
    task = babi_graph(number="19", graphs=250)
    one, other = (np.asarray(batch_of(task, part, 50).targets) for part in ("train", "test"))
    assert one.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"number": "17"}, "unknown number '17'.* Known: 15, 16, 18, 19, 4"),
        ({"graphs": 0}, "graphs must be at least 1, not 0"),
    ],
)
def test_bad_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        babi_graph(**options)
