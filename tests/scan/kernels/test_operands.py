"""Operands that do not fit a kernel are refused by name: in Python, in XLA's call, before a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnexp
from rnnexp.cli.main import main
from rnnexp.core.errors import UsageError
from rnnexp.core.types import Array, Batch
from rnnexp.scan.kernels import build, cpu
from rnnexp.scan.kernels.cells import CELLS
from rnnexp.scan.kernels.gpu.recurrence import recurrence as fused
from rnnexp.scan.kernels.operands import FLOATS
from rnnexp.tasks.base import Endless, Score, Task
from tests.helpers.kernel_cells import VARIANTS, made, needs_compiler
from tests.helpers.own_tables import own_tables  # noqa: F401

T, B, I, H = 3, 2, 2, 4  # noqa: E741
Recurrence = Callable[..., Any]


def given(kernel: str) -> dict[str, Any]:
    """Operands that fit, all by name."""
    cell = CELLS[kernel]
    gates, leaves = cell.gates, cell.leaves
    weights = {
        "w_x": jnp.ones((I, gates * H)), "w_h": jnp.ones((H, gates * H)), "b": jnp.ones(gates * H),
        "b_hn": jnp.ones(H), "p": jnp.ones((cell.own, H)),
    }  # fmt: skip
    return {
        **{name: weights[name] for name in cell.weights},
        "the input": jnp.ones((T, B, I)),
        **{f"the state {leaf}": jnp.ones((B, H)) for leaf in leaves},
        **{f"the slot of {leaf}": jnp.zeros((T, B, H)) for leaf in leaves},
        "lengths": jnp.full(B, T, jnp.int32),
    }  # fmt: skip


def call(recurrence: Recurrence, kernel: str, operands: dict[str, Any]) -> Any:
    operands = dict(operands)

    def part(prefix: str) -> dict[str, Any]:
        names = [name for name in operands if name.startswith(prefix)]
        return {name.removeprefix(prefix): operands.pop(name) for name in names}

    x, lengths = operands.pop("the input"), operands.pop("lengths")
    state, slots = part("the state "), part("the slot of ")
    return recurrence(kernel, operands, x, state, lengths_B=lengths, slots=slots)


def amiss(array: Array) -> list[Array]:
    """The operand in another type, with another axis, each axis longer and shorter."""
    wrong = [array.astype(jnp.int16), array.astype(jnp.float16), array[None], array[..., None]]
    for axis, size in enumerate(array.shape):
        wrong += [jnp.concatenate([array, array], axis), array.take(jnp.arange(size - 1), axis)]
    return wrong


@pytest.mark.parametrize("kernel", VARIANTS)
@pytest.mark.parametrize("recurrence", [cpu.recurrence, fused], ids=["cpu", "gpu"])
def test_an_operand_that_does_not_fit_is_named(recurrence: Recurrence, kernel: str) -> None:
    """With what came and what was expected. (Of x and w_h, or h where there is none, the sizes are
    held against others.)"""
    operands = given(kernel)
    sized = "w_h" if CELLS[kernel].recurrent else "the state h"
    for name, array in operands.items():
        for wrong in amiss(array):
            if "slot" in name and wrong.shape == (T, B):  # that is a slot of norms
                continue
            with pytest.raises(UsageError) as error:
                call(recurrence, kernel, {**operands, name: wrong})
            text = str(error.value)
            assert text.startswith(f"the kernel of {kernel} cannot take ")
            assert "expected" in text
            if name not in ("the input", sized):
                others = ["the input"] if name == "w_x" else []
                assert any(f"cannot take {known}:" in text for known in (name, *others)), text


@pytest.mark.parametrize("recurrence", [cpu.recurrence, fused], ids=["cpu", "gpu"])
def test_other_parameters_states_and_slots_are_not_left_out(recurrence: Recurrence) -> None:
    """Their gradients would be 0 without a word."""
    operands = given("tanh")
    for name in ("peephole", "the state c", "the slot of c"):
        with pytest.raises(UsageError, match="the kernel of tanh has other"):
            call(recurrence, "tanh", {**operands, name: jnp.ones((B, H))})
    for name in ("w_h", "the state h"):
        with pytest.raises(UsageError, match="the kernel of tanh has other"):
            call(recurrence, "tanh", {k: v for k, v in operands.items() if k != name})


def test_the_message_says_what_came_and_what_was_expected() -> None:
    wrong = {**given("lstm"), "the input": jnp.ones((T, B, 300))}
    with pytest.raises(UsageError) as error:
        call(cpu.recurrence, "lstm", wrong)
    assert str(error.value) == (
        "the kernel of lstm cannot take the input: float32[3,2,300], expected float32[3,2,2] "
        "(T, B, I: the input size of the cell and its task)"
    )


def test_gpu_kernels_refuse_sizes_of_nothing() -> None:
    empty = {k: v for k, v in given("tanh").items() if "slot" not in k}
    with pytest.raises(UsageError, match=r"takes no sizes of 0.*T=0"):
        call(fused, "tanh", {**empty, "the input": jnp.ones((0, B, I))})


def test_the_float_types_are_those_of_the_kernels() -> None:
    assert tuple(build.REALS) == FLOATS


@needs_compiler
@pytest.mark.parametrize(
    ("name", "steps", "batch_size"), [("lstm", 0, B), ("gru", 0, B), ("tanh", T, 0)]
)
def test_no_steps_or_no_examples_are_an_empty_sum(name: str, steps: int, batch_size: int) -> None:
    """Without steps the final state is the first, with its derivative; all else is 0."""
    cell, params = made(name, H)
    leaves = ("h", "c") if name == "lstm" else ("h",)
    start = {leaf: jnp.full((batch_size, H), 0.5) for leaf in leaves}

    def loss(params: Any, start: Any) -> Array:
        x = jnp.ones((steps, batch_size, cell.input_size))
        outputs, final = cpu.recurrence(name, params, x, start)
        return jnp.sum(outputs) + sum(jnp.sum(leaf**2) for leaf in final.values())

    value, (grads, by_start) = jax.value_and_grad(loss, argnums=(0, 1))(params, start)
    assert value == pytest.approx(0.25 * batch_size * H * len(leaves))
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(grads))
    for leaf in leaves:
        np.testing.assert_array_equal(by_start[leaf], 2 * start[leaf])


SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "forward": {
        "x": (T, B, I), "w_x": (I, 4 * H), "w_h": (H, 4 * H), "b": (4 * H,), "b_hn": (0,),
        "own": (0, H), "h0": (B, H), "c0": (B, H), "lengths": (0,),
    },
    "backward": {
        "h": (T, B, H), "saved": (T, B, 0), "dh": (T, B, H), "dh_last": (B, H), "dc_last": (B, H),
    },
}  # fmt: skip
RESULTS: dict[str, dict[str, tuple[int, ...]]] = {
    "forward": {"h": (T, B, H), "c_last": (B, H), "saved": (T, B, 0)},
    "backward": {
        "dx": (T, B, I), "dw_x": (I, 4 * H), "dw_h": (H, 4 * H), "db": (4 * H,), "db_hn": (0,),
        "d_own": (0, H), "dh0": (B, H), "dc0": (B, H), "tap_h": (T, B, H), "tap_c": (T, B, H),
    },
}  # fmt: skip


@needs_compiler
@pytest.mark.parametrize("kind", ["forward", "backward"])
def test_the_call_itself_refuses_what_python_let_through(kind: str) -> None:
    """The error of the handler reaches Python with the operand's name."""
    kernel = build.load("lstm", "float32")
    shapes = SHAPES["forward"] | (SHAPES["backward"] if kind == "backward" else {})
    results = RESULTS[kind]
    if kind == "backward":
        shapes["saved"] = (T, B, kernel.saved_size(H))

    def error(changed: dict[str, Any], wanted: dict[str, Any]) -> str:
        arguments = [
            np.ones(shape, np.int32 if name == "lengths" else np.float32)
            for name, shape in changed.items()
        ]
        like = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in wanted.values()]
        more = {"norms": False, "cut_steps": np.int64(0)} if kind == "backward" else {}
        run = jax.ffi.ffi_call(getattr(kernel, kind), like)
        try:
            jax.block_until_ready(run(*arguments, threads=np.int64(1), has_lengths=False, **more))
        except jax.errors.JaxRuntimeError as error:
            return str(error)
        return ""

    assert error(shapes, results) == ""
    for name, shape in shapes.items():
        said = error({**shapes, name: (*shape[:-1], shape[-1] + 1)}, results)
        assert "INVALID_ARGUMENT: rnnexp's" in said
        assert "expected" in said
        # x and h0 have the sizes that others are held to
        assert f"argument {name} is float32" in said or name in ("x", "h0", "lengths")
    for name, shape in results.items():
        said = error(shapes, {**results, name: (*shape[:-1], shape[-1] + 1)})
        assert f"result {name} is float32" in said


@needs_compiler
@pytest.mark.usefixtures("own_tables")
@pytest.mark.parametrize("features", [1, 300])
def test_a_task_of_another_size_than_it_says_ends_with_one_line(
    features: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything trains: it trained to the end, beside the buffers."""

    def task() -> Task:
        def draw(key: Array, batch_size: int) -> Batch:
            x = jax.random.normal(key, (5, batch_size, features))
            return Batch(x, jnp.zeros((5, batch_size, 2)))

        def scores(outputs: Array, batch: Batch) -> dict[str, Score]:
            total_B = jnp.sum(jnp.square(outputs - batch.targets), (0, 2))
            return {"loss": Score(total_B, jnp.full(total_B.shape, 10.0))}

        source = Endless(draw)
        return Task(
            name="mistaken", mode="synchronous", input_size=2, output_size=2, num_steps=5,
            train=source, valid=source, test=source, scores=scores, baseline={"loss": 1.0},
            headline="loss", higher_is_better=False,
        )  # fmt: skip

    rnnexp.task("mistaken", modes=("synchronous",))(task)
    changes = ["cell.hidden_size=4", "train.duration_steps=3", "model.kernel=compiled"]
    command = ["run", "mistaken/lstm", "--runs-dir", str(tmp_path)]
    assert main([*command, *(f"--config.{change}" for change in changes)]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("rnnexp:"))
    assert f"gives inputs of shape (5, 16, {features}), expected (5, 16, 2)" in line
    logged = [file.read_text() for file in tmp_path.rglob("metrics.jsonl")]
    assert all('"baseline"' in line for line in "".join(logged).splitlines())
