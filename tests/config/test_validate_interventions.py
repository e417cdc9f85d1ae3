"""Interventions that cannot be are refused, with the key that stands in the way."""

from typing import Any

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.train.plan import make_plan
from tests.helpers.small_programs import configured


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "adding/rnn",
            {"regularizer__omega": 1.0, "model__cut_steps": 3},
            "config.model.cut_steps",
        ),
        ("adding/rnn", {"regularizer__omega": 1.0, "model__zoneout": 0.1}, "config.model.zoneout"),
        ("adding/rnn", {"regularizer__flossing": 1.0, "model__recurrent_dropout": 0.1}, "dropout"),
        ("adding/rnn", {"regularizer__flossing": 1.0, "cell__hidden_size": 3}, "has 3 dimensions"),
        ("adding/feedforward", {"regularizer__flossing": 1.0}, "no parameter of feedforward"),
        ("adding/indrnn", {"regularizer__orthogonality": 1.0}, "no square recurrent matrix"),
        ("mackey_glass/narx", {"regularizer__omega": 1.0}, "config.model.teacher_forcing=False"),
        ("adding/lru", {"clip__adjoint_limit": 1.0, "model__associative": True}, "associative"),
        (
            "adding/rnn",
            {"regularizer__flossing": 1.0, "regularizer__flossing_every_steps": 0},
            "never due",
        ),
        (
            "adding/rnn",
            {"regularizer__omega": 1.0, "regularizer__omega_form": "square"},
            "config.regularizer.omega_form.*norms.*squares",
        ),
        ("adding/rnn", {"regularizer__flossing_before_steps": 5}, "needs a weight"),
        ("adding/rnn", {"regularizer__flossing_again_steps": (5,)}, "needs a length"),
        (
            "adding/rnn",
            {
                "regularizer__flossing": 1.0,
                "regularizer__flossing_before_steps": 5,
                "regularizer__flossing_again_steps": (9, 12),
            },
            "has 12, but updates .* begin at 9 last until 14",
        ),
        (
            "adding/rnn",
            {"regularizer__flossing": 1.0, "regularizer__flossing_optimizer": "own"},
            "set config.regularizer.flossing_before_steps",
        ),
        ("adding/rnn", {"regularizer__flossing_optimizer": "two"}, "flossing_optimizer"),
        (
            "adding/rnn",
            {"regularizer__flossing": 1.0, "regularizer__flossing_examples": 9},
            "at most 8",
        ),
    ],
)
def test_what_cannot_be_is_refused(name: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_plan(configured(name, **changes), data_dir=None, chunk_steps=2)
