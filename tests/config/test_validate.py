"""What Newton's iteration cannot be had with is named."""

import pytest

from rnnexp.config.schema import experiment, finish
from rnnexp.core.errors import UsageError
from rnnexp.train.plan import make_plan


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
