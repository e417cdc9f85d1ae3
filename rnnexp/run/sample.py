"""Samples from a trained run: text, music, or the answer to a question."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnexp.config.schema import from_saved, options
from rnnexp.core.errors import UsageError, require_choice
from rnnexp.core.seeds import seed_key
from rnnexp.data.text import UNKNOWN_SYMBOL, unknown_symbols
from rnnexp.data.words import LINE_END, encode_words, join_words, split_words
from rnnexp.models.decode import beam
from rnnexp.models.generate import generate, notes_draw, symbol_draw
from rnnexp.models.scoring import head_draw
from rnnexp.models.sequence import SequenceModel
from rnnexp.models.transduction import Transducer
from rnnexp.run.bleu import sentence
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
    """A run's plan, and the state of one of its checkpoints."""

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
      checkpoint: which one: see `state_at`.

    Raises:
      UsageError: there is no such checkpoint, or the code (or the data) is no longer that which
        was trained.
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
    return Trained(plan, state_at(path, initial_state(plan), checkpoint))


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


def state_at(path: Path, like: TrainState, checkpoint: str | int) -> TrainState:
    """The state of a chosen checkpoint of a run.

    Args:
      like: any state of the same structure.
      checkpoint: `best` by validation (the last where there is no best), `last`, or the number of
        updates before it, such as 200.

    Raises `UsageError` if there is no such checkpoint, or it is damaged.
    """
    folder, name = path / "checkpoints", str(checkpoint)
    if name == "best":
        return best_state(path, like)
    if not (stored := stored_steps(folder)):
        raise UsageError(f"{path} has no checkpoint yet")
    steps = {str(step): step for step, _ in stored}
    require_choice("checkpoint", name, ["best", "last", *steps])
    if name in steps:
        others = {*steps.values()} - {steps[name]}
        restored = next(read_checkpoints(folder, like, others), None)
    else:
        checkpoints = Checkpoints(folder)
        restored = checkpoints.restore(name, like)
        checkpoints.close()
    if restored is None:
        raise UsageError(f"{path} has no intact checkpoint {name!r}")
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
        if options(trained.plan.config, "task").get("unknown", False):
            prompt = _with_unknown(prompt, task.alphabet or "")
        return encode(prompt or "\n", task.alphabet or "")
    first = next((word for word in (LINE_END, ".") if word in task.words), task.words[-1])
    return _word_codes(_words_of(trained, prompt) or [first], task.words)


def _words_of(trained: Trained, text: str) -> list[str]:
    """The words of a text, divided as the task of the run divides it."""
    given = options(trained.plan.config, "task")
    return split_words(text, **{name: given[name] for name in ("lower", "marks") if name in given})


def _word_codes(words: Sequence[str], vocabulary: Sequence[str]) -> np.ndarray:
    """The classes of words; those that the vocabulary does not have are logged."""
    if unknown := [word for word in words if word not in vocabulary]:
        log.warning("the prompt has words that the run does not know: %s", ", ".join(unknown))
    return encode_words(words, vocabulary)


def _with_unknown(prompt: str, alphabet: str) -> str:
    """A prompt with `UNKNOWN_SYMBOL` in place of the symbols that the run does not know."""
    if found := unknown_symbols(prompt, alphabet):
        log.warning("the prompt has symbols that the run does not know: %s", ", ".join(found))
    return "".join(UNKNOWN_SYMBOL if symbol in found else symbol for symbol in prompt)


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

    A word of the question that the vocabulary does not have is read as `<unk>`, which is logged.

    Args:
      width: the width of the beam, and the number of answers.
      length_power: a in ln p / length^a, by which answers are ranked.

    Raises:
      UsageError: the task does not know a symbol of the question, or has no questions.
    """
    task, model = trained.plan.recipe.task, trained.model
    require_range(width=width - 1, length_power=length_power)
    if not isinstance(model, Transducer):
        raise UsageError(f"{task.name} answers no questions")
    codes = _question_codes(trained, question)
    x_TxBxI = jax.nn.one_hot(jnp.asarray(codes), task.input_size, dtype=float)[:, None]
    found = beam(
        model, x_TxBxI, None, steps=task.target_steps, width=width, length_power=length_power
    )
    return [
        (
            answer_text(task, found.symbols_UxBxW[:, 0, n].tolist()),
            float(found.log_likelihood_BxW[0, n]),
        )
        for n in range(width)
    ]


def _question_codes(trained: Trained, question: str) -> np.ndarray:
    """The classes of a question, in characters or in words; see `answer`."""
    task = trained.plan.recipe.task
    in_words = task.words is not None and task.output_words is not None
    if not in_words and (task.alphabet is None or task.input_alphabet is None):
        raise UsageError(f"{task.name} answers no questions")
    symbols = _words_of(trained, question) if in_words else question
    if not 1 <= len(symbols) <= task.num_steps:
        of = "words" if in_words else "symbols"
        raise UsageError(f"a question has 1 to {task.num_steps} {of}, not {len(symbols)}")
    if in_words:
        return _word_codes(symbols, task.words or ())
    return encode(question, task.input_alphabet or "")


def answer_text(task: Task, classes: Sequence[int]) -> str:
    """The text of what an encoder-decoder wrote, up to the first stop symbol."""
    if task.output_words is None:
        return decode(classes, task.alphabet or "")
    return sentence(classes, task.output_words)


def require_range(**values: Any) -> None:
    """Raise `UsageError` for a negative number."""
    for name, value in values.items():
        if not value >= 0:
            raise UsageError(f"{name} must not be negative, but is {value}")
