"""Every key has a meaning, what an experiment changes is said, and a printed file reads back."""

import subprocess
import sys
from pathlib import Path

import pytest

import rnnexp
from rnnexp.config.defaults import DURATIONS, KEYS, LATER, section_defaults
from rnnexp.config.describe import as_yaml, key_rows, meanings
from rnnexp.config.overrides import from_command_line
from rnnexp.config.schema import defaults, experiment, finish, flat, pairs
from rnnexp.config.validate_interventions import FLOSSING_OPTIMIZERS
from rnnexp.gradflow.regularizers import OMEGA_FORMS
from rnnexp.learning import LOSSES, OPTIMIZERS, SCHEDULES
from rnnexp.models.heads import HEADS
from rnnexp.models.start import BIASES, RECURRENT, WEIGHTS
from rnnexp.models.structure import ATTENTIONS, POOLINGS
from rnnexp.scan.kernels.gpu.layout import PRECISIONS
from rnnexp.scan.newton.solve import MOST_ITERATIONS
from rnnexp.train.choose_time_loop import KERNELS
from rnnexp.train.objective import REDUCTIONS
from rnnexp.train.optim import CLIPS
from tests.helpers.own_tables import own_tables  # noqa: F401
from tests.helpers.read_config import read

CHOICES = {
    "optimizer.name": OPTIMIZERS.builtin, "optimizer.schedule": SCHEDULES.builtin,
    "clip.name": CLIPS, "loss.name": LOSSES.builtin, "loss.reduction": REDUCTIONS,
    "regularizer.flossing_optimizer": FLOSSING_OPTIMIZERS,
    "model.pooling": POOLINGS, "model.attention": ATTENTIONS, "model.kernel": KERNELS,
    "model.precision": PRECISIONS, "model.newton": ("none", *MOST_ITERATIONS),
    "model.start": WEIGHTS, "model.start_recurrent": RECURRENT, "model.start_biases": BIASES,
    "regularizer.omega_form": OMEGA_FORMS,
}  # fmt: skip


def test_every_key_has_one_line_of_meaning() -> None:
    assert {*flat(defaults())} == {*KEYS}
    assert {*LATER} <= {*KEYS}
    for task, cell in pairs():
        config = experiment(f"{task}/{cell}")
        meaning = meanings(config)
        for key in flat(config):
            assert len(meaning[key]) > 3, key
            assert "\n" not in meaning[key], key
    for name in HEADS.names():
        config = experiment("jsb_chorales/lstm", name)
        assert {*flat(config)} <= {*meanings(config)}
    assert len({row.meaning for row in KEYS.values()}) == len(KEYS)


@pytest.mark.parametrize("key", CHOICES)
def test_a_meaning_names_the_choices(key: str) -> None:
    assert set(CHOICES[key]) <= set(
        KEYS[key].meaning.replace(";", ",").replace(":", ",").split(", ")
    )


def test_sections_have_no_durations() -> None:
    assert {*section_defaults("laboratory")} == {
        key.partition(".")[2]
        for key in KEYS
        if key.startswith("laboratory.") and ".every" not in key
    }
    assert section_defaults("train") == {"batch_size": 64, "budget_minutes": 0.0}
    assert len(DURATIONS) == 8


def test_rows_say_what_an_experiment_changes() -> None:
    rows = {row["key"]: row for row in key_rows("mnist/lstm")}
    assert [*rows] == [*flat(experiment("mnist/lstm"))]
    changed = {
        key: (row["default"], row["usual"]) for key, row in rows.items() if row["changed_by"]
    }
    assert changed == {
        "train.batch_size": (100, 64),
        "train.duration_steps": (None, 2000),
        "train.duration_epochs": (5, None),
        "eval.every_steps": (None, 200),
        "eval.every_epochs": (1, None),
        "optimizer.learning_rate": (2e-3, 1e-3),
        "optimizer.schedule": ("cosine", "constant"),
    }
    assert rows["cell.forget_bias"]["meaning"] == "initial bias of the forget gate"
    by = {row["key"]: row["changed_by"] for row in key_rows("babi/memory_network")}
    assert (by["optimizer.name"], by["cell.hidden_size"]) == ("cell", "cell")
    assert (by["train.batch_size"], by["optimizer.momentum"]) == ("task", "")


@pytest.mark.parametrize("name", [None, "copy_memory/lstm"])
def test_keys_are_listed_without_jax(name: str | None) -> None:
    program = f"import sys; from rnnexp.config.describe import key_rows; key_rows({name!r}); "
    program += "print({'jax', 'numpy', 'flax'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_a_printed_configuration_reads_back(tmp_path: Path, ending: str) -> None:
    for name in ("mnist/lstm", "babi/memory_network", "copy_memory/rnn"):
        config = read("eval.lengths=20,40", "seed=3", "train.duration_epochs=7",
                      "optimizer.learning_rate=1e-5", name=name)  # fmt: skip
        file = tmp_path / f"{name.replace('/', '-')}.{ending}"
        file.write_text(as_yaml(config) if ending == "yaml" else config.to_json())
        assert from_command_line(None, [f"--config={file}"]) == config


@pytest.mark.usefixtures("own_tables")
def test_an_unset_option_reads_back(tmp_path: Path) -> None:
    def mine(input_size: int, hidden_size: int, *, leak: float | None = None) -> None:
        """Leaks."""

    rnnexp.cell("mine")(mine)
    for config in (read(name="adding/mine"), read("cell.leak=0.25", name="adding/mine")):
        (file := tmp_path / "own.yaml").write_text(as_yaml(config))
        assert from_command_line(None, [f"--config={file}"]) == config
    assert finish(experiment("adding/mine")).cell.leak is None


def test_every_key_that_takes_a_word_says_which() -> None:
    words = {key for key, value in flat(defaults()).items() if isinstance(value, str)}
    assert words == {*CHOICES, "task.name", "cell.name", "head.name", "early_stopping.goal"}
