"""Chained facts: an answer that takes a given number of facts, among others of the same form.

    anna with bob    dora with carl    bob in garden    carl in kitchen    ...    where anna

A chain leads from a person over others to a place: with k facts k - 1 times `x with y`, then
`z in place`. A story has several chains of the same length, all persons different, its facts
shuffled; the question asks for the place at the end of one chain, from the person at its
beginning. (An own task, in the manner of bAbI tasks 1 to 3 of Weston et al. 2015.)

The chains end at different places as long as there are enough, so with as many chains as places
every place is named once in every story. Then no k - 1 facts, whichever they are, say anything
about the answer, nor do all facts without their order in the chain: chance is the best, ln(places)
nats and an accuracy of 1 / places.
"""

import math

import jax
import jax.numpy as jnp

from rnnexp.core.errors import UsageError, require_at_least
from rnnexp.core.types import Array, Batch, Key
from rnnexp.tasks.base import Endless, Task
from rnnexp.tasks.stories import story_batch, story_task

WHERE, WITH, IN = 1, 2, 3
WORDS = ("", "where", "with", "in")
FACT_WORDS, QUESTION_WORDS = 3, 2


def chained_facts(
    *, facts: int = 2, places: int = 6, distractors: int = 5, persons: int = 0
) -> Task:
    """Follow a chain of `facts` from a person to one of `places` places.

    Args:
      facts: k, facts that the answer takes; 1 or more.
      places: possible answers; 2 or more.
      distractors: other chains of the story; with places - 1 or a multiple of places more, every
        place is named as often as the others.
      persons: different names, of which each story uses some; 0: as many as one story has.
    """
    require_at_least(1, facts=facts)
    require_at_least(2, places=places)
    require_at_least(0, distractors=distractors)
    chains = 1 + distractors
    if persons and persons < chains * facts:
        raise UsageError(
            f"persons must be 0 or at least {chains * facts}, those of {chains} chains of {facts} "
            f"facts, not {persons}"
        )
    persons = persons or chains * facts
    words = (
        *WORDS, *(f"place_{n}" for n in range(1, places + 1)),
        *(f"person_{n}" for n in range(1, persons + 1)),
    )  # fmt: skip
    source = Endless(lambda key, size: draw(key, size, facts, places, chains, persons))
    return story_task(
        "chained_facts",
        words=words,
        num_steps=chains * facts * FACT_WORDS + QUESTION_WORDS,
        sources=(source, source, source),
        baseline={"loss": math.log(places), "accuracy": 1 / places},
    )


def draw(key: Key, batch_size: int, facts: int, places: int, chains: int, persons: int) -> Batch:
    """A batch of stories and questions."""

    def one(key: Key) -> tuple[Array, Array, Array]:
        key_persons, key_places, key_order = jax.random.split(key, 3)
        drawn = jax.random.permutation(key_persons, persons)[: chains * facts]
        person_CxK = (len(WORDS) + places + drawn.astype(jnp.int32)).reshape(chains, facts)
        order_P = jax.random.permutation(key_places, places).astype(jnp.int32)
        place_C = len(WORDS) + order_P[jnp.arange(chains) % places]
        object_CxK = jnp.concatenate([person_CxK[:, 1:], place_C[:, None]], 1)
        link_CxK = jnp.full((chains, facts), WITH, jnp.int32).at[:, -1].set(IN)
        fact_MxJ = jnp.stack([person_CxK, link_CxK, object_CxK], -1).reshape(-1, FACT_WORDS)
        story_MxJ = jax.random.permutation(key_order, fact_MxJ)
        question_J = jnp.stack([jnp.asarray(WHERE, jnp.int32), person_CxK[0, 0]])
        return story_MxJ, question_J, place_C[0]

    story, question, answer_B = jax.vmap(one)(jax.random.split(key, batch_size))
    read_BxT = jnp.concatenate([story.reshape(batch_size, -1), question], 1)
    filled = jnp.pad(question, ((0, 0), (0, FACT_WORDS - QUESTION_WORDS)))
    words = len(WORDS) + places + persons
    return story_batch(story, filled, answer_B, read_BxT.T, None, words)
