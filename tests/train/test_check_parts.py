"""Faults of a user's optimiser, schedule and loss are one line, before anything is compiled."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
import pytest

import rnnexp
from rnnexp.core.errors import UsageError
from rnnexp.tasks import TASKS
from rnnexp.train.check_parts import check_loss, targets_of
from rnnexp.train.plan import make_plan
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.small_programs import configured


def refusal(key: str, factory: Callable[..., Any], name: str = "adding/rnn", **more: str) -> str:
    """What a run says with a part of that factory."""
    decorator = {
        "optimizer__name": rnnexp.optimizer, "optimizer__schedule": rnnexp.schedule,
        "loss__name": rnnexp.loss,
    }[key]  # fmt: skip
    decorator("mine", **more)(factory)
    with pytest.raises(UsageError) as caught:
        make_plan(configured(name, **{key: "mine"}), data_dir=None, chunk_steps=1)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def stateful(update: Callable[..., Any]) -> Callable[..., Any]:
    """A factory of an optimiser whose state is a number of steps."""
    return lambda rate: optax.GradientTransformation(
        lambda params: jnp.zeros((), jnp.int32), update
    )


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize(
    ("key", "factory", "words"),
    [
        ("optimizer__name", lambda rate: None, "optimizer 'mine': the factory gives None"),
        ("optimizer__name", lambda rate: 1 / 0, "optimizer 'mine': the factory raises ZeroDiv"),
        ("optimizer__name", lambda: None, "optimizer 'mine': the factory raises TypeError"),
        ("optimizer__name", stateful(lambda g, s, p=None: ({"w": s}, s)),
         "update gives updates with another structure than the parameters"),
        ("optimizer__name", stateful(lambda g, s, p=None: (g, s * 1.5)),
         "update gives a state of float32 (), expected int32 ()"),
        ("optimizer__schedule", lambda steps: None, "schedule 'mine': the factory gives None"),
        ("optimizer__schedule", lambda steps: lambda n: jnp.ones(3),
         "schedule 'mine': the schedule gives float32 (3,), expected one number"),
        ("loss__name", lambda: lambda o, t, c: jnp.sum(o),
         "loss gives values of shape (), expected (7,), one an output"),
        ("loss__name", lambda: lambda o, t, c: jnp.square(o - t)[:, 0] @ o,
         "loss gives values of shape (1,), expected (7,)"),
        ("loss__name", lambda: lambda o, t, c: o["x"], "loss 'mine': loss raises"),
        ("loss__name", lambda: lambda o, t, c: c, "gives bool (7,), expected an array of floats"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(key: str, factory: Callable[..., Any], words: str) -> None:
    assert words in refusal(key, factory)


@pytest.mark.parametrize(
    ("task", "kind"), [("adding", "values"), ("copy_memory", "classes"), ("ntm_copy", "bits")]
)
def test_the_kind_of_targets(task: str, kind: str) -> None:
    assert targets_of(TASKS.entry(task).factory()()) == kind


def test_a_loss_must_fit_its_task() -> None:
    def refused(task: str, name: str = "huber", *, itself: bool = False) -> str:
        with pytest.raises(UsageError) as caught:
            check_loss(name, lambda o, t, c: o, TASKS.entry(task).factory()(), scores_itself=itself)
        return str(caught.value)

    assert refused("copy_memory") == (
        "config.loss.name=huber: this loss is for values, and the targets of copy_memory are "
        "classes; known for those: default, label_smoothing"
    )
    assert "are bits; known for those: default" in refused("ntm_copy", "label_smoothing")
    assert "the head or the cell of this run scores itself" in refused("adding", itself=True)
    assert "leave it at 'default'" in refused("cycle_or_path", "label_smoothing")


def test_a_goal_that_validations_do_not_have() -> None:
    with pytest.raises(UsageError, match=r"config.early_stopping.goal 'wrong'.*Known: loss"):
        make_plan(
            configured("adding/rnn", early_stopping__goal="wrong"), data_dir=None, chunk_steps=1
        )
    make_plan(configured("adding/rnn", early_stopping__goal="loss"), data_dir=None, chunk_steps=1)
