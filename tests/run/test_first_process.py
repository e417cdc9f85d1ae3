"""Objects over files that only the first process has, without starting other processes.

Runs of two processes are in `tests/integration/test_devices.py`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnexp.run import first_process
from rnnexp.run.callbacks import RunResult
from rnnexp.run.checkpoint import Checkpoints, Progress
from rnnexp.run.files import RunLog
from rnnexp.run.first_process import FirstProcess, in_first_process, shared_result


class Files:
    """An object over files that notes its calls."""

    def __init__(self, path: Path, *arguments: Any):
        self.calls: list[Any] = [path, *arguments]

    def write(self, *arguments: Any, **keywords: Any) -> int:
        self.calls.append((arguments, keywords))
        return 3

    def close(self) -> None:
        self.calls.append("close")

    def set_failed(self, *arguments: Any) -> None:
        self.calls.append(arguments)


def several(monkeypatch: pytest.MonkeyPatch, *, first: bool) -> None:
    """Have the module believe that it is the first of two processes, or the second one."""

    def from_first(function: Callable[[], Any]) -> Any:
        return function() if first else 3

    monkeypatch.setattr(first_process, "process_count", lambda: 2)
    monkeypatch.setattr(first_process, "from_first", from_first)


def test_one_process_has_the_object_itself(tmp_path: Path) -> None:
    files = in_first_process(Files, tmp_path, 5)
    assert type(files) is Files
    assert files.calls == [tmp_path, 5]


def test_the_first_of_several_processes_calls_the_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(monkeypatch, first=True)
    files: Any = in_first_process(Files, tmp_path, 5)
    assert (type(files), files.path) == (FirstProcess, tmp_path)
    assert files.write(1, two=2) == 3
    files.set_failed(7, "why")
    files.close()
    assert files._own.calls == [tmp_path, 5, ((1,), {"two": 2}), (7, "why"), "close"]


def test_the_others_have_no_object_and_get_what_it_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(monkeypatch, first=False)
    files: Any = in_first_process(Files, tmp_path)
    assert files._own is None
    assert files.write(1) == 3
    files.set_failed(7, "why")
    files.close()


def test_checkpoints_are_read_by_the_first_process_and_sent_as_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(4, np.int32)}
    several(monkeypatch, first=True)
    sent = []

    def broadcast(data: bytes) -> bytes:
        sent.append(data)
        return data

    monkeypatch.setattr(first_process, "broadcast", broadcast)
    monkeypatch.setattr(first_process, "require_same", lambda tree: None)
    checkpoints = in_first_process(Checkpoints, tmp_path)
    assert checkpoints.restore("last", state) is None
    checkpoints.save("last", state, Progress(4))
    restored = checkpoints.restore("last", {name: np.zeros_like(x) for name, x in state.items()})
    checkpoints.close()
    assert restored is not None
    assert restored[1] == Progress(4)
    assert len(sent) == 1
    for name, value in state.items():
        np.testing.assert_array_equal(restored[0][name], value)
        assert restored[0][name].dtype == value.dtype


def test_the_result_of_a_run_is_read_for_all(tmp_path: Path) -> None:
    assert shared_result(tmp_path) is None
    files = RunLog(tmp_path)
    files.set_status("diverged", 7, "why", divergence={"step": 7})
    files.close()
    expected = RunResult(tmp_path, "diverged", 7, "why", {"divergence": {"step": 7}})
    assert shared_result(tmp_path) == expected
