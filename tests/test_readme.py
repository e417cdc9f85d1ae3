"""What the README and the guides say can be typed can be typed, and does what they say."""

import argparse
import math
import re
import runpy
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnexp.cells import CELLS
from rnnexp.cli.arguments import read_space
from rnnexp.cli.main import main, parser
from rnnexp.config.arguments import read_arguments
from rnnexp.config.defaults import DURATIONS, section_defaults
from rnnexp.config.overrides import from_command_line, load_file, override
from rnnexp.config.schema import defaults, experiment, flat
from rnnexp.core.load_module import load_module
from rnnexp.export import EXPORTERS
from rnnexp.learning import LOSSES, OPTIMIZERS, SCHEDULES
from rnnexp.models.heads import HEADS
from rnnexp.results.load import find_run
from rnnexp.sweep.space import expand
from rnnexp.tasks import TASKS
from tests.helpers import guides
from tests.helpers.exported import needed, write_checkpoints
from tests.helpers.guides import GUIDES, ROOT
from tests.helpers.laboratory_data import laboratory
from tests.helpers.logged_runs import write_logged_run
from tests.helpers.report_runs import write_laboratory
from tests.helpers.synthetic_runs import lengths_of, write_plan, write_run

SMALL = [f"--config.{key}" for key in ("cell.hidden_size=4", "train.duration_steps=3")]
TEXTS = {guide: (ROOT / guide).read_text() for guide in GUIDES}
OWN_TASK = "rnnexp/tasks/own_task.md"
COMMANDS = dict.fromkeys(
    (guide, command)
    for guide, text in TEXTS.items()
    for written in guides.commands(text)
    for command in guides.expanded(written)
)
CALLS = [(guide, command) for guide, command in COMMANDS if command.startswith("rnnexp ")]
QUICK = (
    r"rnnexp (list|inspect|compare|report|export|run .*--import FILE)\b"
    r"(?!.* --(divergence|memory|nodes|attention|beams))"
)
"""Commands that are run, on the fixture's runs, or as a run of three steps."""
PLACEHOLDERS = {
    "...": "",
    "TASK/CELL": "adding/lstm",
    "KEY=VALUES": "optimizer.learning_rate=1e-3,1e-2",
    "KEY": "optimizer.learning_rate",
    "RUN RUN": "copy_memory/lstm digits/lstm",
    "RUN": "copy_memory/lstm",
    "-o DIR": "-o exported",
    "DIR": "runs",
    "--import FILE": "--import own.py",
    "--space FILE": "--space experiments/learning_rates.py",
    "FILE": "drawn",
    "DATA": "data",
    "HOST:PORT": "localhost:1234",
    "URL": "sqlite:///study.db",
    **dict.fromkeys("NPI", "2"),
}
"""What stands for the words in capitals; longer ones come first."""


@pytest.fixture
def own_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells, tasks and heads that a test adds are gone after it."""
    for table in (CELLS, TASKS, HEADS, OPTIMIZERS, SCHEDULES, LOSSES):
        monkeypatch.setattr(table, "_entries", dict(table._entries))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs under the names that the guides use, and a sweep of three."""
    place = tmp_path_factory.mktemp("typed")
    runs = place / "runs"
    for name in ("copy_memory/lstm", "digits/lstm"):
        write_laboratory(write_logged_run(runs, name), laboratory())
    write_checkpoints(find_run("copy_memory/lstm", runs), {"last": 1})
    plan: list[tuple[str, dict[str, Any]]] = [
        ("adding/lstm", {"optimizer.learning_rate": rate}) for rate in (1e-3, 1e-2, 1e-1)
    ]
    write_plan(runs / "sweeps" / "NAME", plan)
    for name, changes in plan:
        lengths = lengths_of({20: 0.1, 40: 0.2})
        write_run(runs, name, changes, valid=0.2, test={"loss": 0.1}, by_length=lengths)
    (place / "experiments" / "pictures").mkdir(parents=True)
    return place


def filled(command: str) -> list[str]:
    """The words of a command, its placeholders replaced by what the fixture's folder has."""
    for placeholder, value in PLACEHOLDERS.items():
        command = re.sub(rf"(?<!\w){re.escape(placeholder)}(?!\w)", value, command)
    return guides.words(command)


def check_reading(found: dict[str, Any], printed: str) -> None:
    """The README's reading of runs."""
    assert re.search(r"^copy_memory +lstm +0.25$", printed, re.MULTILINE)
    assert f"\n{math.exp(-0.4 * 20):.6f}"[:8] in printed
    assert "[-0.18 -0.18]" in printed
    assert re.search(r"^completed \d\.\d+$", printed, re.MULTILINE)
    assert "(16, 1) (20, 16, 8)" in printed
    assert found["table"]["experiment"].tolist() == ["adding/gru", "copy_memory/lstm"]
    assert found["page"].exists()


def check_laboratory(found: dict[str, Any], printed: str) -> None:
    """A cell in the laboratory."""
    data = found["data"]
    assert dict(data.sizes) | {"exponent": 32, "rank": 16, "gate": 3, "matrix": 4} == data.sizes
    assert float(data.lyapunov[0]) < 0
    assert f"{float(data.lyapunov[0]):.6f}"[:6] in printed


def check_models(found: dict[str, Any], printed: str) -> None:
    """Our layer in another module."""
    norms = [float(x) for x in printed.partition("[")[2].partition("]")[0].split()]
    assert len(norms) == 50
    assert norms[0] < norms[-1]


def check_own_task(found: dict[str, Any], printed: str) -> None:
    """A task from nothing, whose mistakes get the messages that the page shows."""
    [shown] = re.findall(r"^```text\n(.*?)^```$", TEXTS[OWN_TASK], re.MULTILINE | re.DOTALL)
    assert shown in printed
    assert found["norms_T"].shape == (50,)
    assert (found["norms_T"] > 0).all()


def check_callbacks(found: dict[str, Any], printed: str) -> None:
    """A run that a callback stops at a validation."""
    result = found["result"]
    assert result.status == "interrupted"
    assert result.step % 20 == 0
    words = r"interrupted a callback: the validation loss is 0\.\d{3}; the same command resumes"
    assert re.match(words, printed)
    assert [step for step, _ in found["norms"]] == [*range(0, result.step, 10)]


CHECKS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "README.md": check_reading,
    "rnnexp/run/README.md": check_callbacks,
    "rnnexp/laboratory/README.md": check_laboratory,
    "rnnexp/models/README.md": check_models,
    OWN_TASK: check_own_task,
}


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize("guide", [name for name in GUIDES if guides.python_blocks(TEXTS[name])])
def test_its_python_runs(
    guide: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    for block in guides.python_blocks(TEXTS[guide]):
        exec(block, found)
    CHECKS.get(guide, lambda found, printed: None)(found, capsys.readouterr().out)


def test_what_is_checked_of_its_python_is_there() -> None:
    assert {guide for guide in GUIDES if guides.python_blocks(TEXTS[guide])} >= CHECKS.keys()


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize(("guide", "command"), CALLS)
def test_its_commands_are_understood(
    guide: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    known, rest = parser().parse_known_args(filled(command))
    if known.imports:
        load_module(write_own(guide, tmp_path), "imported file")
    of_a_run = known.command == "run" and (known.again or known.origin)
    if known.command == "analyze" or of_a_run:
        override(experiment("adding/lstm"), read_arguments(rest)[1])
    elif known.command == "sweep" and (known.sweep or known.space):
        assert expand(*read_space(known, rest))
    elif known.command == "run" and (known.experiment or rest):
        assert from_command_line(known.experiment, rest)
    else:
        assert rest == []


@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize(("guide", "command"), [call for call in CALLS if re.match(QUICK, call[1])])
def test_its_quick_commands_run(
    guide: str,
    command: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = filled(command)
    if words[0] == "export":
        needed(EXPORTERS[words[words.index("--to") + 1]].package)
    monkeypatch.chdir(folder)
    if "--import" in words:
        write_own(guide, folder)
    assert main([*words, *(SMALL if words[0] == "run" else [])]) == 0
    printed = capsys.readouterr().out
    assert printed
    assert words[0] != "run" or "completed after 3 steps" in printed


def write_own(guide: str, folder: Path) -> str:
    """A file with the guide's definitions of cells and tasks, and what it says is in that file."""
    own = [
        block
        for block in guides.python_blocks(TEXTS[guide])
        if "\n@rnnexp." in block or re.match(r"# \w+\.py\n", block)
    ]
    (folder / "own.py").write_text("\n\n".join(own))
    return str(folder / "own.py")


class Parsed(Exception):  # noqa: N818  not an error
    """What a script's parser made of its arguments; raised to end the script there."""


@pytest.mark.parametrize(
    "command",
    dict.fromkeys(command for _, command in COMMANDS if " experiments/" in command
                  and command.startswith("python ")),
)  # fmt: skip
def test_its_experiments_take_their_arguments(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, *arguments = filled(command)

    def parse(self: argparse.ArgumentParser) -> None:
        raise Parsed(self.parse_known_args(arguments)[1])

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    monkeypatch.setattr(sys, "argv", [script])
    monkeypatch.syspath_prepend(ROOT / Path(script).parent)  # as Python does for a script
    with pytest.raises(Parsed) as stopped:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert stopped.value.args == ([],)


@pytest.mark.parametrize("guide", GUIDES)
def test_its_options_and_keys_exist(guide: str) -> None:
    subparsers = next(a for a in parser()._actions if isinstance(a.choices, dict))
    assert isinstance(subparsers.choices, dict)
    options = {o for command in subparsers.choices.values() for o in command._option_string_actions}
    options |= set(parser()._option_string_actions)
    scripts = "".join(path.read_text() for path in (ROOT / "experiments").glob("*.py"))
    options |= set(re.findall(r'"(--[\w-]+)"', scripts))
    keys = {*flat(defaults()), *DURATIONS}
    parts = {"cell": [CELLS], "task": [TASKS], "head": [HEADS], "loss": [LOSSES]}
    parts["optimizer"] = [OPTIMIZERS, SCHEDULES]
    for part, table in ((part, table) for part, tables in parts.items() for table in tables):
        keys |= {f"{part}.{key}" for name in table.names() for key in table.entry(name).options()}
    sections = "|".join({key.partition(".")[0] for key in keys if "." in key})
    for span in guides.code_spans(TEXTS[guide]):
        option = re.match(r"--[\w-]+(?!\S*config)", span)
        assert not option or option[0] in options | {"--config"}, span
        key = re.match(rf"(?:--config\.)?((?:{sections})\.[a-z_]+)(?:=|$)", span)
        assert not key or key[1] in keys or key[1].endswith((".zarr", ".json")), span


@pytest.mark.parametrize(
    ("guide", "keys"),
    [
        ("rnnexp/models/README.md", section_defaults("model")),
        ("rnnexp/laboratory/README.md", section_defaults("laboratory")),
        ("rnnexp/gradflow/README.md", section_defaults("regularizer")),
    ],
)
def test_it_names_every_key_of_a_section(guide: str, keys: dict[str, Any]) -> None:
    named = {span.rpartition(".")[2] for span in guides.code_spans(TEXTS[guide])}
    assert keys.keys() <= named


@pytest.mark.parametrize("guide", GUIDES)
def test_its_links_and_files_exist(guide: str) -> None:
    for target in guides.links(TEXTS[guide]):
        file, _, anchor = target.partition("#")
        path = (ROOT / guide).parent / file if file else ROOT / guide
        assert path.exists(), target
        assert not anchor or anchor in guides.anchors(path.read_text()), target
    for span in guides.code_spans(TEXTS[guide]):
        if "NAME" not in span and re.fullmatch(
            r"(?:configs|experiments|rnnexp|tests)/[\w/]+(?:\.\w+)?/?", span
        ):
            assert (ROOT / span).exists(), span
    for name, file in re.findall(r"`(\w+)` in `(rnnexp/[\w/]+\.py)`", TEXTS[guide]):
        assert re.search(rf"\b{name}\b", (ROOT / file).read_text()), f"{name} in {file}"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for names in re.findall(r"rnnexp\[([\w,]+)\]", TEXTS[guide]):
        assert set(names.split(",")) <= extras["optional-dependencies"].keys()


def test_every_guide_is_reached_from_the_readme() -> None:
    reached, new = set(), {"README.md"}
    while new:
        reached |= new
        new = {name for guide in new for name in linked_guides(guide)} - reached
    assert reached == {*GUIDES}


def linked_guides(guide: str) -> set[str]:
    """The guides that a guide links."""
    folder = (ROOT / guide).parent
    files = {target.partition("#")[0] for target in guides.links(TEXTS[guide])}
    return {str((folder / file).resolve().relative_to(ROOT)) for file in files if file} & {*GUIDES}


def test_every_experiment_cell_and_task_is_named() -> None:
    scripts = [*(ROOT / "experiments").glob("*.py"), *(ROOT / "experiments").glob("*.ipynb")]
    for script in scripts:
        assert f"experiments/{script.name}" in TEXTS["experiments/README.md"]
    rows = re.findall(r"^\| `(\w+)` \|", TEXTS["experiments/README.md"], re.MULTILINE)
    assert rows == [cell for cell in CELLS.builtin if "synchronous" in CELLS.entry(cell).modes]
    assert {*guides.code_spans(TEXTS["rnnexp/tasks/README.md"])} >= {*TASKS.builtin}


def test_one_command_passes_the_tests() -> None:
    """`.ci/run` looks for this line."""
    [line] = re.findall(r"^python3 -m venv .* pytest.*$", TEXTS["README.md"], re.MULTILINE)
    assert line.endswith(" -m pytest && .venv/bin/python -m pytest -m as_users")


CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))


def test_there_is_a_config_for_each_of_the_first_tasks() -> None:
    names = ("copy_memory", "adding", "mnist", "permuted_mnist", "digits")
    assert {f"{name}_lstm" for name in names} <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_load_and_say_what_they_show(name: str) -> None:
    file = ROOT / "configs" / f"{name}.py"
    load_file(str(file))
    frozen = from_command_line(None, [f"--config={file}", "--config.optimizer.learning_rate=3e-4"])
    assert frozen.optimizer.learning_rate == 3e-4
    docstring = file.read_text().split('"""')[1]
    assert f"rnnexp run --config=configs/{file.name}" in docstring
    assert "Expected" in docstring
