"""Steps of small experiments on several devices of one processor against one.

    JAX_ENABLE_X64=1 python -m tests.helpers.on_devices equal CASE DEVICES ...
    JAX_ENABLE_X64=1 python -m tests.helpers.on_devices exchanges CASE DEVICES
    JAX_ENABLE_X64=1 python -m tests.helpers.on_devices resume CASE DEVICES

The second prints in how many loops each exchange between devices stands in the compiled
chunk, and each tanh, of which the innermost are those of the cells. The third compares a
run that is interrupted twice with one that is not. JAX divides a processor only before it
starts, hence a process of its own.
"""

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict

from rnnexp.config.schema import experiment, finish
from rnnexp.core.tree import named_leaves
from rnnexp.data.polyphonic import PianoRolls
from rnnexp.gradflow import adjoints
from rnnexp.run.callbacks import run_path
from rnnexp.run.run import run
from rnnexp.runtime.mesh import on_host, place, prepare
from rnnexp.tasks import TASKS
from rnnexp.tasks.base import Task
from rnnexp.tasks.batches import Keys, no_order, stream_keys
from rnnexp.tasks.music import music_task
from rnnexp.train.compiled import Programs
from rnnexp.train.placement import place_state
from rnnexp.train.plan import make_plan
from rnnexp.train.program import TrainState
from tests.helpers.small_run import assert_same_runs
from tests.helpers.stopped_run import StopAt

NOISE = {"model.dropout": 0.3, "model.recurrent_dropout": 0.2, "model.zoneout": 0.1}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "to_one": ("adding/lstm", {"task.length_steps": 12, "model.num_layers": 2}),
    "synchronous": ("copy_memory/gru", {"task.delay_steps": 5}),
    "lengths": ("reverse/gru", {"model.attention": "additive"}),
    "scanned": ("reverse/gru", {"model.attention": "additive", "model.kernel": "scan"}),
    "two_directions": ("sort/lstm", {"model.bidirectional": True, "model.layer_norm": True}),
    "data_set": ("digits/lstm", {"optimizer.name": "momentum"}),
    "buckets": ("tiny_music/gru", {"eval.batch_size": 3}),
    "stream": ("char_lm/lstm", {"task.window_steps": 8, "model.learned_state": True}),
    "undivided_stream": ("char_lm/gru", {"task.window_steps": 8, "eval.batch_size": 3}),
    "chains": ("bars_and_stripes/rbm", {"cell.chain": "persistent"}),
    "noise": ("copy_memory/gru", {"task.delay_steps": 5, "model.num_layers": 2, **NOISE}),
    "one_mask": ("adding/gru", {"model.variational_dropout": True, "model.dropout": 0.4}),
    "teacher": ("mackey_glass/narx", {"task.length_steps": 110}),
    "parallel": ("adding/lru", {"task.length_steps": 12, "model.associative": True}),
    "large_states": ("adding/lstm", {"task.length_steps": 12}),
}
SIZES = {
    "cell.hidden_size": 6,
    "train.batch_size": 8,
    "train.duration_steps": 20,
    "eval.examples": 21,
    "eval.batch_size": 4,
    "clip.threshold": 0.3,
}


def tiny_music() -> Task:
    """Random piano rolls of two sorts of length: two buckets, the last batches filled up."""
    draw = np.random.default_rng(0)

    def rolls(count: int) -> tuple[np.ndarray, ...]:
        lengths = draw.choice([5, 6, 7, 20, 21, 22], count)
        return tuple((draw.random((n, 88)) < 0.1).astype(np.uint8) for n in lengths)

    return music_task("tiny_music", PianoRolls(rolls(30), rolls(10), rolls(10)), "skipped")


TASKS.register("tiny_music", modes=("synchronous",))(tiny_music)


def configured(case: str, devices: int, folder: Path) -> FrozenConfigDict:
    """The configuration of a case; its text, if it needs one, is written to `folder`."""
    name, changes = CASES[case]
    config = experiment(name)
    for unit in ("steps", "epochs", "examples"):
        config.train[f"duration_{unit}"] = None
    values = {**SIZES, **changes, "devices": devices}
    if name.startswith("char_lm"):
        file = folder / "text.txt"
        file.write_text("".join(chr(97 + n * n % 11) for n in range(1000)))
        values["task.file"] = str(file)
    config.update_from_flattened_dict(values)
    return finish(config)


def build(case: str, devices: int, folder: Path) -> Programs:
    """The compiled functions of a case."""
    return Programs(make_plan(configured(case, devices, folder), data_dir=None, chunk_steps=5))


def measure(programs: Programs) -> dict[str, np.ndarray]:
    """Eight steps, some recorded; everything that came of them, by name."""
    state = programs.initial()
    found: dict[str, np.ndarray] = {}
    for stop, every in ((3, 1), (8, 2)):
        state, records = programs.advance(state, stop, every)
        found |= {f"{stop}/{name}": np.asarray(x) for name, x in named_leaves(records).items()}
    require_alike(state)
    found |= {f"state/{name}": np.asarray(x) for name, x in named_leaves(on_host(state)).items()}
    found |= {f"valid/{k}": np.array(v) for k, v in programs.scores("valid", state).items()}
    return found


def require_alike(state: TrainState) -> None:
    """Every device has the same parameters, optimiser state and step, to the bit."""
    for name, leaf in named_leaves(state._replace(carry=[])).items():
        first, *others = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        for other in others:
            np.testing.assert_array_equal(other, first, err_msg=name)


def compare(case: str, counts: Sequence[int], folder: Path) -> None:
    """Everything from so many devices against one.

    The bias of an attention's scores has a gradient of 0, of which rounding leaves 1e-17;
    Adam makes steps of 1e-12 of that, hence the absolute tolerance.
    """
    one = measure(build(case, 1, folder))
    assert one["state/step"] == 8
    for devices in counts:
        many = measure(build(case, devices, folder))
        assert many.keys() == one.keys()
        for name, value in one.items():
            np.testing.assert_allclose(
                many[name], value, rtol=1e-9, atol=1e-11, err_msg=f"{case}, {devices}: {name}"
            )
    print("equal")


def resume(case: str, devices: int, folder: Path) -> None:
    """A run in pieces against a whole one, to the bit."""
    config = configured(case, devices, folder)
    whole = run(config, runs_dir=folder / "whole")
    statuses = [
        run(config, runs_dir=folder / "pieces", observer=StopAt(step)).status
        for step in (3, 11, 20)
    ]
    assert statuses == ["interrupted", "interrupted", "completed"], statuses
    assert_same_runs(run_path(config, folder / "pieces"), whole.path, config)
    print("equal")


def compiled_chunk(programs: Programs) -> str:
    """The chunk as an HLO text."""
    number = jnp.asarray(1, jnp.int32)
    keys, devices = stream_keys(0), programs.plan.recipe.devices
    recipe = programs.plan.recipe
    lowered = programs.chunk.lower(
        place_state(devices, programs.initial()),
        place(devices, no_order(recipe.task.train, recipe.batch_size)),
        number,
        number,
        *place(devices, (Keys(keys["train"], keys["noise"]), dict(programs.plan.hyper))),
        programs.arrays["train"],
    )
    text: str = lowered.compile().as_text()
    return text


def depths(program: str, wanted: str) -> list[int]:
    """The number of while loops around each instruction of an HLO text that matches."""
    computations: dict[str, list[str]] = {}
    entry = name = ""
    for line in program.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.-]+) \(.*\{$", line):
            name = head[2]
            computations[name] = []
            entry = name if head[1] else entry
        elif name:
            computations[name].append(line)

    def walk(name: str, depth: int) -> Iterator[int]:
        for line in computations[name]:
            if re.search(wanted, line):
                yield depth
                continue  # what it applies is an addition
            loop = re.search(r"body=%?([\w.-]+)", line)
            for called in re.findall(r"%([\w.-]+)", line.partition("(")[2]):
                if called in computations:
                    inside = loop is not None and called == loop[1]
                    yield from walk(called, depth + inside)

    return list(walk(entry, 0))


def main() -> None:
    """Compare one case."""
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    what, case, *counts = sys.argv[1:]
    devices = [int(count) for count in counts]
    prepare(max(devices))
    assert jax.dtypes.canonicalize_dtype(float) == np.float64
    if case == "large_states":  # one device takes norms step by step, several at the end
        adjoints.LARGE_STATE = 30
    with tempfile.TemporaryDirectory() as folder:
        if what == "equal":
            compare(case, devices, Path(folder))
        elif what == "resume":
            resume(case, devices[0], Path(folder))
        else:
            program = compiled_chunk(build(case, devices[0], Path(folder)))
            for wanted in (r" (all-|collective-|reduce-scatter)[\w-]*\(", r" tanh\("):
                print(depths(program, wanted))


if __name__ == "__main__":
    main()
