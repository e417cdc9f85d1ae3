"""The clip audit: figures from a few numbers by hand, and what they are said to mean."""

import subprocess
import sys

import numpy as np
import pytest

from rnnexp.core.errors import UsageError
from rnnexp.gradflow.clip_audit import KINDS, audit_clipping
from rnnexp.train.optim import CLIPS

BEFORE = [0.5, 2.0, 8.0, 1.0]
AFTER = [0.5, 1.0, 1.0, 1.0]
FIRED = [False, True, True, False]


def test_the_audit_knows_every_kind_of_clipping() -> None:
    assert tuple(KINDS) == CLIPS


def test_it_is_read_without_starting_jax() -> None:
    code = "import sys, rnnexp.gradflow.clip_audit; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_figures() -> None:
    audit = audit_clipping(
        BEFORE, AFTER, FIRED, [1, 0.9, 0.6, 1], name="value", threshold=0.1
    )  # fmt: skip
    assert audit[:7] == (4, 0, 0.5, 1.5, 8.0, 8.0, 0.6)


def test_a_threshold_above_every_norm_is_a_no_op() -> None:
    audit = audit_clipping(BEFORE, BEFORE, [False] * 4, name="global_norm", threshold=10)
    assert audit.fired_share == 0
    assert audit.verdict == (
        "clipping is a no-op: threshold 10 is above every norm seen (largest norm 8)",
    )


def test_firing_on_nearly_every_step_is_a_normalised_gradient() -> None:
    before = np.linspace(1, 3, 100)
    fired = before > 1.05
    after = np.where(fired, 1.05, before)
    audit = audit_clipping(before, after, fired, name="global_norm", threshold=1.05)
    assert "fires on nearly every step (97 %): it acts as a normalised" in audit.verdict[0]
    assert audit.verdict[1] == "the direction is kept"
    seldom = audit_clipping(BEFORE, AFTER, FIRED, name="global_norm", threshold=1)
    assert "fires on 50 % of the steps" in seldom.verdict[0]
    assert "up to 8" in seldom.verdict[0]


def test_a_changed_direction_is_said() -> None:
    audit = audit_clipping(BEFORE, AFTER, FIRED, [1, 0.9, 0.6, 1], name="adaptive", threshold=0.1)
    assert audit.verdict[1].startswith("it changes the direction")
    assert audit.verdict[1].endswith("0.6")
    rounded = audit_clipping(BEFORE, AFTER, FIRED, [1 - 1e-6] * 4, name="value", threshold=1)
    assert rounded.verdict[1] == "the direction is kept"


@pytest.mark.parametrize("cosine", [None, [np.nan] * 4])
def test_a_run_that_did_not_log_the_cosine(cosine: list[float] | None) -> None:
    audit = audit_clipping(BEFORE, AFTER, FIRED, cosine, name="value", threshold=1)
    assert np.isnan(audit.cosine_min)
    assert "not known" in audit.verdict[1]
    whole = audit_clipping(BEFORE, AFTER, FIRED, cosine, name="global_norm", threshold=1)
    assert whole.cosine_min == 1  # one factor for all keeps the direction


def test_no_clipping() -> None:
    audit = audit_clipping(BEFORE, BEFORE, [False] * 4, name="none", threshold=1)
    assert audit.verdict == ("there is no clipping: the largest norm seen is 8",)


def test_steps_that_are_not_finite_are_left_out_and_counted() -> None:
    audit = audit_clipping(
        [*BEFORE, np.inf], [*AFTER, np.nan], [*FIRED, True], name="global_norm", threshold=1
    )
    assert audit[:5] == (4, 1, 0.5, 1.5, 8.0)
    assert audit.verdict[-1] == "1 step with a norm that is not finite left out"
    nothing = audit_clipping([np.nan], [np.nan], [True], name="global_norm", threshold=1)
    assert (nothing.steps, nothing.left_out) == (0, 1)
    assert "nothing to audit" in nothing.verdict[0]


def test_a_zero_gradient_has_the_ratio_one() -> None:
    audit = audit_clipping([0.0], [0.0], [False], name="global_norm", threshold=1)
    assert (audit.ratio_median, audit.ratio_max, audit.norm_max) == (1, 1, 0)


def test_bad_input() -> None:
    with pytest.raises(UsageError, match="Did you mean 'value'"):
        audit_clipping(BEFORE, AFTER, FIRED, name="valu", threshold=1)
    with pytest.raises(UsageError, match="one entry a recorded step"):
        audit_clipping(BEFORE, AFTER[1:], FIRED, name="value", threshold=1)
