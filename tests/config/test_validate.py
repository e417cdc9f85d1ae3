"""What Newton's iteration and a second direction cannot be had with is named."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from rnnexp.config.schema import experiment, finish
from rnnexp.config.validate import require_fit, require_log
from rnnexp.core.errors import UsageError
from rnnexp.run.callbacks import Observer
from rnnexp.run.files import RunLog
from rnnexp.run.run import run
from rnnexp.run.session import RunSession
from rnnexp.sweep.space import parse_space
from rnnexp.sweep.starting_points import find_starts, read_base
from rnnexp.train.build import build_structure, build_task, cell_maker
from rnnexp.train.plan import make_plan

ASKED = "--config.log.tensorboard=true"


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("adding/gru", {"model__newton": "half"}, "config.model.newton"),
        ("adding/gru", {"model__zoneout": 0.1}, "config.model.zoneout needs them one after"),
        ("adding/gru", {"model__cut_steps": 4}, "config.model.cut_steps needs them one after"),
        ("adding/gru", {"model__remat_steps": 4}, "config.model.remat_steps needs"),
        ("adding/gru", {"model__recurrent_dropout": 0.1}, "config.model.recurrent_dropout needs"),
        (
            "adding/gru",
            {"clip__adjoint_limit": 1.0},
            "config.clip.adjoint_limit needs them one after",
        ),
        ("adding/gru", {"model__kernel": "compiled"}, "config.model.kernel='compiled' are two"),
        ("adding/min_gru", {"model__associative": True}, "config.model.associative are two ways"),
        ("mackey_glass/narx", {}, "shows narx the true outputs"),
    ],
)
def test_what_it_cannot_be_had_with_is_named(name: str, changes: dict, words: str) -> None:
    config = experiment(name)
    given = {"model__newton": "full", **changes}
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in given.items()})
    with pytest.raises(UsageError, match=words):
        make_plan(finish(config), data_dir=None, chunk_steps=4)


def test_a_log_whose_package_is_missing_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    config = experiment("adding/gru")
    require_log(config)
    config.log.tensorboard = True
    plan = make_plan(finish(config), data_dir=None, chunk_steps=4)
    session = RunSession(plan, RunLog(tmp_path / "x"), Observer())
    for train in (
        lambda: run(finish(config), runs_dir=tmp_path),
        lambda: find_starts(parse_space([]), read_base("adding/gru", [ASKED])),
        session.begin,
    ):
        with pytest.raises(UsageError, match=r"log\.tensorboard needs .* pip install 'rnnexp\["):
            train()
    session.close()


def test_a_task_that_does_not_say_whether_it_is_causal_has_no_second_direction() -> None:
    config = experiment("narma10/gru")
    config.model.bidirectional = True
    frozen, task = finish(config), build_task("narma10")
    cell, structure = cell_maker(frozen, task)(1, 0), build_structure(frozen)
    require_fit(frozen, structure, cell, task)
    with pytest.raises(UsageError, match=r"narma10 does not say .* give its Task causal=False"):
        require_fit(frozen, structure, cell, replace(task, causal=None))


def test_a_cell_that_is_shown_the_true_outputs_has_no_second_direction() -> None:
    """Backwards it would be shown those of the steps that it has yet to predict."""
    config = experiment("narma10/narx")
    config.model.bidirectional = True
    frozen, task = finish(config), build_task("narma10")
    cell = cell_maker(frozen, task)(1, 0)
    with pytest.raises(UsageError, match="shows narx the true outputs"):
        require_fit(frozen, build_structure(frozen), cell, task)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "reverse/gru",
            {"tied_output": True, "embedding_size": 4},
            "reverse is asynchronous, and its decoder has a readout",
        ),
        ("chained_facts/memory_network", {"embedding_size": 4}, r"reads no input on its steps \(h"),
        ("copy_memory/gru", {"tied_output": True}, "no embedding to share; set config.model.emb"),
        ("copy_memory/gru", {"tied_output": True, "embedding_size": 128}, "reads 10 .* predicts 9"),
        (
            "digits/narx",
            {"tied_output": True, "embedding_size": 128},
            "narx is a whole network",
        ),
        ("digits/gru", {"embedding_size": -1}, "config.model.embedding_size must not be negative"),
    ],
)
def test_an_embedding_has_its_place(name: str, changes: dict, words: str) -> None:
    config = experiment(name)
    config.update_from_flattened_dict({f"model.{key}": value for key, value in changes.items()})
    with pytest.raises(UsageError, match=words):
        make_plan(finish(config), data_dir=None, chunk_steps=4)
