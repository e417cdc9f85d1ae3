"""A batch over several devices, of one process and of two, against one device."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from rnnexp.core.errors import RunError
from rnnexp.results.load import load_run
from rnnexp.run.callbacks import RunResult, read_result, run_path
from rnnexp.run.files import RunLog, read_json
from rnnexp.run.run import run
from rnnexp.run.sample import load_trained, write_text
from rnnexp.runtime import collectives
from rnnexp.runtime.collectives import OTHER, agree, require_same
from rnnexp.runtime.mesh import join
from rnnexp.runtime.signals import BUDGET
from tests.helpers.on_devices import CASES
from tests.helpers.one_of_several import configured
from tests.helpers.small_run import assert_same_runs, small_config

FAST = ("buckets", pytest.param("stream", marks=pytest.mark.as_users), "noise")
STEPS = 150


def python(root: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A module of the tests in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=root,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def on_devices(root: Path, *arguments: str) -> str:
    """What `tests.helpers.on_devices` prints."""
    process = python(root, "tests.helpers.on_devices", *arguments, JAX_ENABLE_X64="1")
    out, err = process.communicate(timeout=550)
    assert process.returncode == 0, err
    return out


def two(root: Path, task: str, runs_dir: Path, steps: int = STEPS) -> list[subprocess.Popen[str]]:
    """The two processes of a run on one device each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    numbers = [map(str, (port, 2, process, 2, steps)) for process in (0, 1)]
    return [
        python(root, "tests.helpers.one_of_several", task, str(runs_dir), *given)
        for given in numbers
    ]


def outputs(processes: list[subprocess.Popen[str]], code: int, timeout: float = 300) -> list[str]:
    """What the processes print; they must end with that code, none waiting for the others."""
    results = [process.communicate(timeout=timeout) for process in processes]
    assert [process.returncode for process in processes] == [code] * 2, results
    return [out.splitlines()[-1] for out, _ in results if out]  # above it speaks gloo


def only_run(runs_dir: Path) -> Path:
    """The directory of the only run."""
    [path] = runs_dir.glob("*/*/*")
    return path


def wait_for(file: Path) -> None:
    """Wait until there is such a file or folder."""
    deadline = time.monotonic() + 200
    while not file.exists():
        assert time.monotonic() < deadline, f"no {file}"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run of two processes."""
    runs_dir = tmp_path_factory.mktemp("undisturbed")
    told = outputs(two(Path(__file__).parents[2], "adding", runs_dir), 0)
    assert told == [f"completed {STEPS}  ['best', 'test', 'test_step']"] * 2
    return only_run(runs_dir)


@pytest.mark.parametrize("case", FAST)
def test_two_devices_equal_one(root: Path, case: str) -> None:
    assert on_devices(root, "equal", case, "2") == "equal\n"


@pytest.mark.slow
def test_a_run_on_two_devices_resumes_to_the_bit(root: Path) -> None:
    assert on_devices(root, "resume", "stream", "2") == "equal\n"


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_and_four_devices_equal_one(root: Path, case: str) -> None:
    assert on_devices(root, "equal", case, "2", "4") == "equal\n"


def test_devices_exchange_twice_a_step_and_never_in_the_scan_over_time(root: Path) -> None:
    exchanges, tanhs = map(json.loads, on_devices(root, "exchanges", "scanned", "2").splitlines())
    assert exchanges == [1] * 4  # in the scan over steps: a plain step's two, a recorded one's two
    assert max(tanhs) == 2


def test_the_command_line_divides_the_processor(root: Path, tmp_path: Path) -> None:
    command = ["rnnexp", "run", "adding/rnn", "--runs-dir", str(tmp_path), "--json"]
    command += ["--config.devices=2", "--config.train.duration_steps=3", "--config.eval.examples=8"]
    process = python(root, *command)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["status"] == "completed"
    config = read_json(only_run(tmp_path) / "config.json")
    assert config is not None
    assert config["devices"] == 2


def test_devices_that_cannot_be_are_refused(tmp_path: Path) -> None:
    jax.devices()  # from here on their number is fixed
    with pytest.raises(ValueError, match=r"config.devices is 8, but there are 2 .cpu.*JAX_NUM_CPU"):
        run(small_config(devices=8), runs_dir=tmp_path)
    with pytest.raises(ValueError, match=r"batch_size 8 cannot be .* config.devices 3"):
        run(small_config(devices=3), runs_dir=tmp_path)
    with pytest.raises(ValueError, match=r"config.devices must be positive, not 0"):
        small_config(devices=0)
    with pytest.raises(ValueError, match="0 to 1"):
        join("localhost:1", 2, 2)
    with pytest.raises(ValueError, match="HOST:PORT"):
        join("localhost", 2, 1)
    with pytest.raises(ValueError, match="3, which 2 processes cannot share"):
        join("localhost:1", 2, 1, devices=3)
    assert not list(tmp_path.rglob("*.json"))


def test_two_processes_equal_one_device(undisturbed: Path, tmp_path: Path) -> None:
    one = run(small_config(train__duration_steps=STEPS), runs_dir=tmp_path)
    many = read_result(undisturbed)
    assert isinstance(many, RunResult)
    assert (many.status, many.step) == (one.status, one.step)
    left, right = load_run(one.path), load_run(undisturbed)
    assert [(row["kind"], row["step"]) for row in left.metrics] == [
        (row["kind"], row["step"]) for row in right.metrics
    ]
    for ours, theirs in zip(left.metrics, right.metrics, strict=True):
        # half-lives, ln 2 / -slope, have no bounded error where a slope is near 0
        for name in (n for n in ours if n not in ("kind", "time") and "half_life" not in n):
            np.testing.assert_allclose(
                theirs[name], ours[name], rtol=2e-4, atol=1e-6, err_msg=f"{name} {ours}"
            )
    for leaf in left.norms:
        np.testing.assert_allclose(right.norms[leaf], left.norms[leaf], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_two_processes_killed_then_stopped_equal_undisturbed_ones(
    undisturbed: Path, root: Path, tmp_path: Path
) -> None:
    killed = two(root, "adding", tmp_path)
    path = tmp_path / undisturbed.relative_to(undisturbed.parents[2])
    wait_for(path / "checkpoints" / "last" / "25")
    for process in killed:
        process.kill()
    outputs(killed, -signal.SIGKILL)
    status = read_json(path / "status.json")
    assert status is not None
    assert status["status"] == "running"
    stopped = two(root, "adding", tmp_path)
    wait_for(path / "checkpoints" / "last" / "75")
    stopped[1].send_signal(signal.SIGTERM)  # one is told, both stop at the same step
    first, second = outputs(stopped, 0)
    assert first == second
    assert first.startswith("interrupted ")
    assert "SIGTERM" in first
    outputs(two(root, "adding", tmp_path), 0)
    assert_same_runs(path, undisturbed, small_config(train__duration_steps=STEPS))


@pytest.mark.slow
def test_two_processes_read_a_stream_and_go_on_where_they_were(root: Path, tmp_path: Path) -> None:
    for name in ("whole", "pieces"):
        (tmp_path / name).mkdir()
        text = "".join(chr(97 + n * n % 11) for n in range(800))
        (tmp_path / name / "text.txt").write_text(text)
    whole = run(configured("char_lm", tmp_path / "whole", 1, 30), runs_dir=tmp_path / "whole")
    outputs(two(root, "char_lm", tmp_path / "pieces", 30), 0)
    path = only_run(tmp_path / "pieces")
    for leaf, norms in load_run(whole.path).norms.items():
        np.testing.assert_allclose(load_run(path).norms[leaf], norms, rtol=1e-3, atol=1e-6)
    assert len(write_text(load_trained(path), "ab", length=5)) == 5


@pytest.mark.parametrize(
    "what",
    ["a file cannot be written", pytest.param("the directory is taken", marks=pytest.mark.slow)],
)
def test_what_fails_in_the_first_process_fails_in_both(
    root: Path, tmp_path: Path, what: str
) -> None:
    path = run_path(small_config(train__duration_steps=STEPS, devices=2), tmp_path)
    if what == "the directory is taken":
        holder = RunLog(path)
        out = outputs(two(root, "adding", tmp_path), 2, timeout=120)
        holder.close()
        assert all("another process" in line for line in out)
    else:
        (path / "metrics.jsonl" / "in the way").mkdir(parents=True)
        out = outputs(two(root, "adding", tmp_path), 1, timeout=120)
        assert all("metrics.jsonl" in line for line in out)


def test_processes_that_have_drifted_apart_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"w": np.ones(3)}
    for other, message in ((0, None), (1, "different parameters")):
        monkeypatch.setattr(
            multihost_utils, "process_allgather", lambda x, other=other: np.array([x, x + other])
        )
        if message is None:
            require_same(own)
        else:
            with pytest.raises(RunError, match=message):
                require_same(own)


@pytest.mark.parametrize(
    ("stop", "number", "agreed"),
    [
        (None, 0, None),
        ("SIGTERM", 0, "SIGTERM"),
        (None, signal.SIGTERM.value, "SIGTERM"),
        (BUDGET, 0, BUDGET),
        (None, OTHER, BUDGET),
        ("a callback: enough", 0, "a callback: enough"),
        ("SIGINT", OTHER, BUDGET),
    ],
)
def test_the_first_process_agrees_with_another_on_what_stops_them(
    monkeypatch: pytest.MonkeyPatch, stop: str | None, number: int, agreed: str | None
) -> None:
    """The other one sends `number` and a pace of its own."""
    monkeypatch.setattr(collectives, "process_count", lambda: 2)
    monkeypatch.setattr(collectives, "from_first", lambda function: function())
    other = np.array([number, 9], np.int32)
    monkeypatch.setattr(multihost_utils, "process_allgather", lambda own: np.stack([own, other]))
    assert agree(stop, 4) == (agreed, 4)
