"""What a run is includes the user's own code and data."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from rnnexp.cells import CELLS
from rnnexp.cli.main import main
from rnnexp.core.errors import UsageError
from rnnexp.results.groups import settings
from rnnexp.results.index import load_records
from rnnexp.run.sources import Sources, read_sources, write_sources
from rnnexp.sweep.plan import planned, write_plan
from rnnexp.tasks import TASKS
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.small_run import small_config

CELL = """
import jax.numpy as jnp
import rnnexp
from rnnexp.cells.base import Cell, zero_state
import {helper}

@rnnexp.cell("{name}")
def make(input_size, hidden_size):
    "A cell of the user's."
    def init(key):
        return {{"w": jnp.full((input_size, hidden_size), 0.1), "b": jnp.zeros(hidden_size)}}
    def transition(params, state, x):
        return {{"h": {helper}.squash(x @ params["w"] + params["b"] + state["h"])}}
    return Cell(
        name="{name}", input_size=input_size, output_size=hidden_size, init=init,
        init_state=zero_state(hidden_size, "h"), transition=transition,
        parameter_count=(input_size + 1) * hidden_size,
    )
"""
TASK = """
from pathlib import Path
import jax.numpy as jnp
import numpy as np
import rnnexp
from rnnexp.core.types import Batch
from rnnexp.tasks.base import Finite, Score, Task

@rnnexp.task("{name}", modes=("sequence_to_one",))
def make():
    "A task of the user's that reads a table."
    table = np.loadtxt(Path(__file__).with_name("table.csv"), delimiter=",", dtype=np.float32)
    x, y = jnp.asarray(table[:, :-1].T[:, :, None]), jnp.asarray(table[:, -1:])
    def take(arrays, at):
        return Batch(arrays[0][:, at], arrays[1][at])
    source = Finite((x, y), len(y), take)
    def scores(outputs, batch):
        error = jnp.sum((outputs - batch.targets) ** 2, -1)
        return {{"loss": Score(error, jnp.ones_like(error))}}
    return Task(
        name="{name}", mode="sequence_to_one", input_size=1, output_size=1, num_steps=len(x),
        train=source, valid=source, test=source, scores=scores, baseline={{"loss": 1.0}},
        headline="loss", higher_is_better=False,
    )
"""
SMALL = [
    "--config.cell.hidden_size=4", "--config.train.batch_size=4",
    "--config.train.duration_steps=2", "--config.eval.batch_size=4", "--config.eval.examples=4",
]  # fmt: skip
TABLE = "".join(f"{n},{n + 1},{n * 0.1}\n" for n in range(8))


class Project:
    """A folder with a cell, a module beside it, a task and its table; runs commands on them."""

    def __init__(self, folder: Path, label: str):
        self.folder, self.label = folder, label
        self.helper = f"helper_{label}"
        (folder / f"{self.helper}.py").write_text("from jax.numpy import tanh as squash\n")
        (folder / "mine.py").write_text(CELL.format(name="mine", helper=self.helper))
        (folder / "own_task.py").write_text(TASK.format(name="own"))
        (folder / "table.csv").write_text(TABLE)

    def change(self, name: str, old: str, new: str) -> None:
        file = self.folder / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def command(self, *arguments: str, cells: bool = True, tasks: bool = True) -> int:
        """One command in a state like that of a new process."""
        import sys

        sys.modules.pop(self.helper, None)
        for table, name in ((CELLS, "mine"), (TASKS, "own")):
            table._entries.pop(name, None)
        files = [f for f, wanted in (("mine.py", cells), ("own_task.py", tasks)) if wanted]
        imports = [part for file in files for part in ("--import", str(self.folder / file))]
        return main([*arguments, *imports, "--runs-dir", str(self.folder / "runs")])

    def runs(self, experiment: str) -> dict[str, float]:
        """The test loss of every run of an experiment, by its name."""
        found = sorted((self.folder / "runs" / experiment).iterdir())
        return {
            run.name: json.loads((run / "status.json").read_text())["test"]["loss"] for run in found
        }


@pytest.fixture
def project(
    tmp_path: Path,
    own_tables: None,  # noqa: F811
    request: pytest.FixtureRequest,
) -> Project:
    return Project(tmp_path, str(abs(hash(request.node.name))))


@pytest.mark.parametrize("place", ["mine.py", "helper", "table.csv"])
def test_another_content_is_another_run(
    project: Project, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = f"{project.helper}.py" if place == "helper" else place
    change = {
        "mine.py": ("squash(x", "squash(2 * x"),
        "helper": ("tanh", "sinh"),
        "table.csv": ("0.1\n", "0.77\n"),
    }[place]
    run = ["run", "own/mine", *SMALL]
    assert project.command(*run) == 0
    (first,) = project.runs("own/mine").items()
    assert project.command(*run) == 0
    assert project.runs("own/mine") == dict([first])  # nothing changed: the run has ended
    project.change(file, *change)
    caplog.set_level(logging.INFO)
    assert project.command(*run) == 0
    both = project.runs("own/mine")
    assert both.pop(first[0]) == first[1]
    assert [loss for loss in both.values() if loss != first[1]]
    assert f"{file} has changed since" in caplog.text
    project.change(file, *change[::-1])
    assert project.command(*run) == 0
    assert len(project.runs("own/mine")) == 2  # the old content is the first run again


def test_code_counts_for_the_runs_that_use_it(project: Project) -> None:
    run = ["run", "adding/rnn", *SMALL, "--config.task.length_steps=6"]
    assert project.command(*run) == 0
    assert project.command(*run, cells=False, tasks=False) == 0
    project.change("mine.py", "squash(x", "squash(2 * x")
    assert project.command(*run) == 0
    assert len(project.runs("adding/rnn")) == 1
    (path,) = (project.folder / "runs" / "adding" / "rnn").iterdir()
    assert not (path / "sources.json").exists()
    # a file that adds nothing can only act on all runs, so it counts for all
    (project.folder / "own_task.py").write_text("import numpy\n")
    assert project.command(*run) == 0
    assert len(project.runs("adding/rnn")) == 2


def test_runs_of_different_code_are_neither_averaged_nor_analysed(
    project: Project, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = ["run", "own/mine", *SMALL]
    assert project.command(*run) == 0
    project.change("mine.py", "squash(x", "squash(2 * x")
    assert project.command(*run, "--config.seed=1") == 0
    capsys.readouterr()
    assert project.command("compare", str(project.folder / "runs"), "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    text = json.dumps(rows)
    assert "sources" in text
    assert "different code or data, are not averaged" in caplog.text
    runs = sorted((project.folder / "runs" / "own" / "mine").iterdir())
    old = next(path for path in runs if path.name.endswith("seed0"))
    assert project.command("analyze", str(old)) == 2
    assert "mine.py has changed" in capsys.readouterr().err
    copy = old / "sources" / "mine.py"
    assert "squash(x" in copy.read_text()


def test_the_digest_and_the_differences(tmp_path: Path) -> None:
    none, one = Sources(), Sources({"a.py": "1"}, {"d.csv": "2"}, {"a.py": b"x"})
    assert none.digest == ""
    assert one.digest != Sources({"a.py": "1"}, {"d.csv": "3"}).digest
    assert one.digest != Sources({"a.py": "1", "d.csv": "2"}).digest
    assert one.differences(Sources({"a.py": "4", "b.py": "1"})) == [
        "a.py has changed", "d.csv is no longer used", "b.py is new",
    ]  # fmt: skip
    write_sources(tmp_path, none)
    assert not list(tmp_path.iterdir())
    write_sources(tmp_path, one)
    assert read_sources(tmp_path) == one
    assert (tmp_path / "sources" / "a.py").read_bytes() == b"x"
    (tmp_path / "sources.json").write_text('{"code": [], "data": {}}')
    with pytest.raises(UsageError, match=r"sources\.json is damaged"):
        read_sources(tmp_path)


def test_a_text_file_is_part_of_a_run_and_its_samples_keep_their_alphabet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat; a dog ran. " * 40)
    arguments = [
        "run", "char_lm/rnn", *SMALL, f"--config.task.file={text}", "--runs-dir", str(tmp_path),
        "--config.task.window_steps=8",
    ]  # fmt: skip
    assert main(arguments) == 0
    (old,) = (tmp_path / "char_lm" / "rnn").iterdir()
    sample = ["sample", str(old), "--prompt", "the ", "--length", "40", "--json"]
    capsys.readouterr()
    assert main(sample) == 0
    before = capsys.readouterr().out
    text.write_text("THE CAT SAT ON THE MAT; A DOG RAN. " * 40)
    assert main(arguments) == 0
    assert len(list((tmp_path / "char_lm" / "rnn").iterdir())) == 2
    for gone in (False, True):
        if gone:
            text.unlink()
        capsys.readouterr()
        assert main(sample) == 0
        assert capsys.readouterr().out == before


def test_runs_that_wait_are_of_the_setting_of_those_that_ended(tmp_path: Path) -> None:
    """A plan knows the user's own files of its runs, so a run that waits does not seem another."""
    config = small_config()
    runs = [replace(planned(config, 0, {}, "a" * 64), run=f"adding/lstm/{n}") for n in (1, 2)]
    sweep_dir = tmp_path / "runs" / "sweeps" / "s"
    write_plan(sweep_dir, runs, tmp_path / "runs")
    path = tmp_path / "runs" / runs[0].run
    path.mkdir(parents=True)
    (path / "sources.json").write_text('{"digest": "' + "a" * 64 + '"}')
    (path / "config.json").write_text(json.dumps(config.to_dict()))
    (path / "status.json").write_text('{"status": "completed", "step": 1, "reason": ""}')
    records = load_records(sweep_dir)
    assert [record.status for record in records] == ["completed", "waiting"]
    assert [record.keys["sources"] for record in records] == ["a" * 8] * 2
    assert len(settings(records)) == 1
