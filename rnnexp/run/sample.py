"""Samples from a trained run: text, music, or the answer to a question."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.config.schema import from_saved, options
from rnnexp.core.errors import UsageError
from rnnexp.core.seeds import seed_key
from rnnexp.data.words import LINE_END, encode_words, join_words, split_words
from rnnexp.models.decode import beam
from rnnexp.models.generate import generate, notes_draw, symbol_draw
from rnnexp.models.scoring import head_draw
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.transduction import Transducer
from rnnexp.run.checkpoint import Checkpoints, read_checkpoints, stored_steps
from rnnexp.run.files import saved_config
from rnnexp.run.sources import find_sources, require_same, require_same_code
from rnnexp.run.task_facts import read_task
from rnnexp.tasks.base import Task
from rnnexp.tasks.transduction import decode, encode
from rnnexp.train.compiled import initial_state
from rnnexp.train.plan import Plan, make_plan
from rnnexp.train.program import TrainState

log = logging.getLogger("rnnexp")
NOTES = 88


@dataclass(frozen=True)
class Trained:
    """A run's plan, and the state of its best checkpoint (of its last if there is no best)."""

    plan: Plan
    state: TrainState

    @property
    def model(self) -> SequenceModel | Transducer:
        """The trained model."""
        return self.plan.recipe.model(self.state.params)


def load_trained(
    path: Path,
    data_dir: Path | None = None,
    *,
    with_data: bool = False,
    checkpoint: str | int = "best",
) -> Trained:
    """The trained model in a run's directory.

    The run's own record of its task is used, so the data need not be there any more.

    Args:
      data_dir: where to look for data, of a run that has no such record or if they are wanted.
      with_data: the task has its data; they must be those with which the run was made.
      checkpoint: which one: see `stored_state`.

    Raises:
      UsageError: there is no checkpoint, or the code (or the data) is no longer that which was
        trained.
    """
    saved = saved_config(path)
    saved["devices"] = 1  # one is enough for sampling, however many trained
    task = None if with_data else read_task(path)
    if task is not None and task.mode == "density":  # a context has the shapes of the data
        task, with_data = None, True
    if task is not None:
        saved["model"]["newton"] = "none"  # its decision needs data, and sampling goes step by step
    config = from_saved(saved)
    if with_data:
        sources, task = find_sources(config, data_dir)
        require_same(path, sources)
    else:
        require_same_code(path, config)
    plan = make_plan(config, data_dir=data_dir, chunk_steps=1, task=task)
    return Trained(plan, stored_state(path, initial_state(plan), checkpoint))


def stored_state(path: Path, like: TrainState, checkpoint: str | int) -> TrainState:
    """The state of a run's checkpoint.

    Args:
      like: any state of the same structure.
      checkpoint: `best` (the last where there is no best), `last`, or a step that has one.

    Raises `UsageError` if there is no such checkpoint, with those that there are.
    """
    if checkpoint == "best":
        return best_state(path, like)
    found = stored_steps(path / "checkpoints")
    steps = sorted({step for step, _ in found})
    step = max((step for step, kind in found if kind == "last"), default=None)
    if checkpoint != "last":
        step = checkpoint if type(checkpoint) is int and checkpoint in steps else None
    if step is not None:
        others = [other for other in steps if other != step]
        for state, _ in read_checkpoints(path / "checkpoints", like, others):
            return state
    there = ", ".join(map(str, steps)) or "none"
    raise UsageError(
        f"{path} has no checkpoint {checkpoint!r}: choose 'best', 'last' or a step ({there})"
    )


def best_state(path: Path, like: TrainState) -> TrainState:
    """The state of a run's best checkpoint, of its last if there is no best.

    Args:
      like: any state of the same structure.

    Raises `UsageError` if there is no checkpoint.
    """
    checkpoints = Checkpoints(path / "checkpoints")
    restored = checkpoints.restore("best", like) or checkpoints.restore("last", like)
    checkpoints.close()
    if restored is None:
        raise UsageError(f"{path} has no checkpoint yet")
    return restored[0]


def write_text(
    trained: Trained,
    prompt: str,
    *,
    length: int = 500,
    temperature: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
) -> str:
    """Characters or words that follow a prompt.

    Without a prompt they follow a line end, in a vocabulary of words without one the end of a
    sentence. Where a text in characters has no line end, a first symbol is drawn from all, with
    equal probabilities, and comes first. A word of the prompt that the vocabulary does not have is
    read as `<unk>`, which is logged.

    Args:
      length: how many characters or words.
      temperature: divides the logits; 0 takes the most likely symbol.
      top_k: draw among so many most likely symbols; 0: all.

    Raises:
      UsageError: the model does not know a symbol of the prompt, or the task is no text.
    """
    task, model = trained.plan.recipe.task, trained.model
    if not writes_text(task) or not isinstance(model, SequenceModel):
        raise UsageError(f"{task.name} has no text to go on with")
    require_range(length=length, temperature=temperature, top_k=top_k)
    key, first = seed_key(seed, "the seed of the draws"), ""
    if not prompt and task.alphabet is not None and "\n" not in task.alphabet:
        place = jax.random.randint(jax.random.fold_in(key, length), (), 0, len(task.alphabet))
        first = task.alphabet[int(place)]
        length -= 1
    if length < 0:
        return ""
    codes = _prompt_codes(trained, prompt or first)
    prompt_TxBxI = jax.nn.one_hot(jnp.asarray(codes), task.output_size, dtype=float)[:, None]
    draw = head_draw(model, temperature) or symbol_draw(temperature, top_k)
    drawn = generate(model, prompt_TxBxI, draw, steps=length, key=key)
    written = np.argmax(drawn[:, 0], -1).tolist()
    if task.alphabet is None:
        return join_words((task.words or ())[code] for code in written)
    return first + "".join(task.alphabet[code] for code in written)


def writes_text(task: Task) -> bool:
    """Whether a task goes on with a text, in characters or in words."""
    in_words = task.words is not None and len(task.words) == task.output_size
    return task.mode == "synchronous" and (task.alphabet is not None or in_words)


def _prompt_codes(trained: Trained, prompt: str) -> np.ndarray:
    """The classes of a prompt, as the task of the run divides a text; see `write_text`."""
    task = trained.plan.recipe.task
    if task.alphabet is not None or task.words is None:
        return encode(prompt or "\n", task.alphabet or "")
    given = options(trained.plan.config, "task")
    dividing = {name: given[name] for name in ("lower", "marks") if name in given}
    first = next((word for word in (LINE_END, ".") if word in task.words), task.words[-1])
    words = split_words(prompt, **dividing) or [first]
    if unknown := [word for word in words if word not in task.words]:
        log.warning("the prompt has words that the run does not know: %s", ", ".join(unknown))
    return encode_words(words, task.words)


def write_notes(
    trained: Trained, *, length: int = 100, temperature: float = 1.0, seed: int = 0
) -> np.ndarray:
    """A piano roll (length, 88) of 0 and 1 that begins in silence.

    Raises `UsageError` if the task is no music.
    """
    task, model = trained.plan.recipe.task, trained.model
    if task.output_size != NOTES or not isinstance(model, SequenceModel):
        raise UsageError(f"{task.name} makes no music")
    require_range(length=length, temperature=temperature)
    silence = jnp.zeros((1, 1, NOTES))
    key = seed_key(seed, "the seed of the draws")
    draw = head_draw(model, temperature) or notes_draw(temperature)
    drawn = generate(model, silence, draw, steps=length, key=key)
    return np.asarray(drawn[:, 0]).astype(np.uint8)


def answer(
    trained: Trained, question: str, *, width: int = 1, length_power: float = 0.0
) -> list[tuple[str, float]]:
    """The answers of an encoder-decoder and their ln p, the best first.

    Args:
      width: the width of the beam, and the number of answers.
      length_power: a in ln p / length^a, by which answers are ranked.

    Raises:
      UsageError: the task does not know a symbol of the question, or has no questions.
    """
    task, model = trained.plan.recipe.task, trained.model
    if not isinstance(model, Transducer) or task.alphabet is None or task.input_alphabet is None:
        raise UsageError(f"{task.name} answers no questions")
    if not 1 <= len(question) <= task.num_steps:
        raise UsageError(f"a question has 1 to {task.num_steps} symbols, not {len(question)}")
    require_range(width=width - 1, length_power=length_power)
    codes = encode(question, task.input_alphabet)
    x_TxBxI = jax.nn.one_hot(jnp.asarray(codes), task.input_size, dtype=float)[:, None]
    found = beam(
        model, x_TxBxI, None, steps=task.target_steps, width=width, length_power=length_power
    )
    return [
        (
            decode(found.symbols_UxBxW[:, 0, n].tolist(), task.alphabet),
            float(found.log_likelihood_BxW[0, n]),
        )
        for n in range(width)
    ]


def require_range(**values: Any) -> None:
    """Raise `UsageError` for a negative number."""
    for name, value in values.items():
        if not value >= 0:
            raise UsageError(f"{name} must not be negative, but is {value}")
