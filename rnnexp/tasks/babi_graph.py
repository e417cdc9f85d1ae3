"""Five of the bAbI tasks as graphs: two-argument relations, deduction, induction, sizes, paths.

Their symbolic form, with a node an entity and an edge a fact: Li, Tarlow, Brockschmidt & Zemel
2016, "Gated graph sequence neural networks", section 5.1; the tasks are those of Weston et al.
2015. The graphs are drawn here, after the stories' rules; entities have no names, so that only
facts count. The annotation marks what the question is about.

| number | facts | question | answer |
| --- | --- | --- | --- |
| 4 | two places lie north, south, east or west of a third | what lies d of it? | a node |
| 15 | four names are of kinds, each kind fears another | what does a name fear? | a node |
| 16 | names are of kinds and have colours, a kind has one | which colour has a name? | a node |
| 18 | five things in a chain, each bigger than the next | is a bigger than b? | no, yes |
| 19 | five places, a tree of neighbours | two steps from a to b | one of 4 x 4 |

Task 4 marks the third place with d, one-hot. In the published symbolic form of task 18 the answer
is always yes; here both are equally likely. Of task 19, as there, a and b are two steps apart; the
answer is one class for both steps. Chance is that of a network without edges: any node that is not
marked, or any of the answers that occur.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from rnnexp.core.errors import require_at_least, require_choice
from rnnexp.core.types import Array, Batch, Tree
from rnnexp.tasks.base import Finite, Task
from rnnexp.tasks.classification import classification_scores
from rnnexp.tasks.graphs import Graph, choice_scores, graph_batch, padded

NORTH, SOUTH, EAST, WEST = range(4)
OPPOSITE = (SOUTH, NORTH, WEST, EAST)
STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))
"""Of a place that lies in a direction, the coordinates from where it lies so."""
IS, OF = 0, 1
TEST_GRAPHS = 1000
Random = np.random.Generator
Fact = tuple[int, int, int]
"""Subject, object and relation: the sender, the receiver and the type of an edge."""
Story = tuple[np.ndarray, list[Fact], int]
"""Annotations (V, I), facts, answer."""


def babi_graph(*, number: str = "15", graphs: int = 50) -> Task:
    """Answer questions about a graph of facts.

    Args:
      number: 4, 15, 16, 18 or 19.
      graphs: training examples; 1,000 others are for validation and 1,000 for the test.
    """
    require_choice("number", number, STORIES)
    require_at_least(1, graphs=graphs)
    tell, types, answers = STORIES[number]
    sources = [
        _source(tell, types, (int(number), split), size, shuffled=answers == 0)
        for split, size in enumerate((graphs, TEST_GRAPHS, TEST_GRAPHS))
    ]
    batch = sources[0].take(sources[0].arrays, jnp.zeros(1, jnp.int32))
    nodes, _, features = batch.inputs_TxBxI.shape
    likely = {"18": 2, "19": 12}.get(number, nodes - 1)
    return Task(
        name="babi_graph",
        mode="graph_to_one" if answers else "graph_to_node",
        input_size=features,
        output_size=answers or nodes,
        num_steps=nodes,
        train=sources[0],
        valid=sources[1],
        test=sources[2],
        scores=classification_scores if answers else choice_scores,
        baseline={"loss": math.log(likely), "accuracy": 1 / likely},
        headline="accuracy",
        higher_is_better=True,
    )


def _source(
    tell: Callable[[Random], Story], types: int, seed: tuple[int, int], size: int, *, shuffled: bool
) -> Finite:
    """So many stories; the answers of `shuffled` ones are nodes."""
    random = np.random.default_rng(seed)
    stories = [_in_other_order(random, tell(random), shuffled) for _ in range(size)]
    graphs = padded([Graph(x_VxI, np.array(facts)) for x_VxI, facts, _ in stories], types)
    arrays = tuple(
        jnp.asarray(x)
        for x in (*graphs[:2], np.array([answer for *_, answer in stories], np.int32))
    )

    def take(arrays: Tree, indices_B: Array) -> Batch:
        annotations, edges, answers_B = (leaf[indices_B] for leaf in arrays)
        return graph_batch(annotations, edges, answers_B, types=types)

    return Finite(arrays, size, take)


def _in_other_order(random: Random, story: Story, answer_is_node: bool) -> Story:
    """A story whose nodes and facts are in random order."""
    x_VxI, facts, answer = story
    new = random.permutation(len(x_VxI))  # node v becomes number new[v]
    moved = [(int(new[a]), int(new[b]), kind) for a, b, kind in facts]
    shuffled = [moved[n] for n in random.permutation(len(moved))]
    return x_VxI[np.argsort(new)], shuffled, int(new[answer]) if answer_is_node else answer


def two_relations(random: Random) -> Story:
    """Task 4: places 1 and 2 lie in two directions from place 0, each said in either way."""
    directions = random.permutation(4)[:2]
    facts = [_said(random, place, 0, int(d)) for place, d in zip((1, 2), directions, strict=True)]
    x_VxI = np.zeros((3, 4))
    x_VxI[0, directions[0]] = 1
    return x_VxI, facts, 1


def deduction(random: Random) -> Story:
    """Task 15: nodes 0 to 3 are names, 4 to 7 kinds; a name fears what its kind fears."""
    kind_of = 4 + random.integers(0, 4, 4)
    feared = 4 + (np.arange(4) + random.integers(1, 4, 4)) % 4  # another kind than itself
    facts = [(name, int(kind), IS) for name, kind in enumerate(kind_of)]
    facts += [(4 + kind, int(of), OF) for kind, of in enumerate(feared)]
    return _marked(8, 0), facts, int(feared[kind_of[0] - 4])


def induction(random: Random) -> Story:
    """Task 16: nodes 0 to 4 are names, 5 to 8 kinds, 9 to 12 colours; nothing is said of the colour
    of name 0, which is of the kind of name 1."""
    kinds, colours = random.permutation(4), random.permutation(4)
    kind_of = np.concatenate([kinds[:1], kinds[:1], random.choice(kinds, 3)])
    facts = [(name, 5 + int(kind), IS) for name, kind in enumerate(kind_of)]
    facts += [(name, 9 + int(colours[kind]), OF) for name, kind in enumerate(kind_of) if name]
    return _marked(13, 0), facts, 9 + int(colours[kind_of[0]])


def sizes(random: Random) -> Story:
    """Task 18: thing v is bigger than thing v + 1."""
    a, b = random.permutation(5)[:2]
    facts = [(v, v + 1, 0) for v in range(4)]
    return _marked(5, int(a), int(b)), facts, int(a < b)


def path(random: Random) -> Story:
    """Task 19: from place 0 by way of 1 to 2; two places more lie somewhere beside these."""
    first = int(random.integers(4))
    second = int(random.choice([d for d in range(4) if d != OPPOSITE[first]]))
    at, facts = [(0, 0)], []
    for beside, direction in ((0, first), (1, second)):
        at.append(_next(at[beside], direction))
        facts.append(_said(random, len(at) - 1, beside, direction))
    while len(at) < 5:
        beside, direction = int(random.integers(len(at))), int(random.integers(4))
        if (new := _next(at[beside], direction)) not in at:
            at.append(new)
            facts.append(_said(random, len(at) - 1, beside, direction))
    return _marked(5, 0, 2), facts, 4 * first + second


STORIES: dict[str, tuple[Callable[[Random], Story], int, int]] = {
    "4": (two_relations, 4, 0),
    "15": (deduction, 2, 0),
    "16": (induction, 2, 0),
    "18": (sizes, 1, 2),
    "19": (path, 4, 16),
}
"""By number how a story is told, the types of its facts, and its answers; 0: the answer is a
node."""


def _marked(nodes: int, *places: int) -> np.ndarray:
    """Annotations (V, I): 1 at the n-th of the places in column n."""
    x_VxI = np.zeros((nodes, len(places)))
    x_VxI[list(places), np.arange(len(places))] = 1
    return x_VxI


def _said(random: Random, place: int, other: int, direction: int) -> Fact:
    """That a place lies in that direction from the other, or the other in the opposite one."""
    if random.random() < 0.5:
        return place, other, direction
    return other, place, OPPOSITE[direction]


def _next(at: tuple[int, int], direction: int) -> tuple[int, int]:
    """The place that lies in that direction."""
    return at[0] + STEPS[direction][0], at[1] + STEPS[direction][1]
