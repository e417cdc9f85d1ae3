"""The compiled kernels are taken where a configuration allows it and where they bring something."""

import dataclasses
import logging

import pytest

from rnnexp.core.errors import UsageError
from rnnexp.scan.kernels import build
from rnnexp.train.choose_time_loop import drawback
from tests.helpers.kernel_cells import config_with, needs_compiler, use_kernel
from tests.helpers.variants import build as build_cell

pytestmark = needs_compiler


def test_the_choice_follows_the_configuration() -> None:
    lstm = build_cell(("lstm", {}), 2, 4)
    assert use_kernel(config_with(), lstm)
    assert not use_kernel(config_with(kernel="scan"), lstm)
    assert not use_kernel(config_with(zoneout=0.1), lstm)
    assert use_kernel(config_with(cut_steps=5), lstm)
    assert not use_kernel(config_with(cut_steps=5, remat_steps=5), lstm)
    assert use_kernel(config_with(), build_cell(("lstm", {"peepholes": True}), 2, 4))
    assert not use_kernel(config_with(), build_cell(("lstm", {"without": "forget_gate"}), 2, 4))
    with pytest.raises(UsageError, match=r"compiled.*config\.model\.zoneout needs single steps"):
        use_kernel(config_with(kernel="compiled", zoneout=0.1), lstm)
    with pytest.raises(UsageError, match=r"Did you mean 'scan'"):
        use_kernel(config_with(kernel="scann"), lstm)


def test_wide_cells_are_scanned_where_the_kernel_leaves_cores_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those whose batch it divides; of the widest, and for few examples, it divides the units."""
    wide, widest = (build_cell(("lstm", {}), 256, size) for size in (512, 1024))
    for threads, chosen in ((2, True), (3, False)):
        monkeypatch.setattr(
            "rnnexp.train.choose_time_loop.threads_of_a_device", lambda n=threads: n
        )
        assert use_kernel(config_with(), wide) == chosen
        assert use_kernel(config_with(kernel="compiled"), wide)
        assert use_kernel(config_with(), widest)
        assert drawback(wide, 8) == ""


def test_without_a_compiler_the_scan_is_taken_and_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    for cached in (build.load, build.problem):
        cached.cache_clear()
    lstm = dataclasses.replace(build_cell(("lstm", {}), 2, 4), name="lonely")
    with caplog.at_level(logging.INFO, logger="rnnexp"):
        assert not use_kernel(config_with(), lstm)
    build.problem.cache_clear()
    assert "no C++ compiler (no-such-compiler) was found" in caplog.text
    assert "lonely is scanned step by step" in caplog.text
