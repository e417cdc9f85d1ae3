"""A file of the user's becomes a task: its columns, its parts, its scales, and what is refused."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas
import pytest

from rnnexp.cli.main import main
from rnnexp.core.errors import UsageError
from rnnexp.data.oscillator import NOISE
from rnnexp.results.load import find_run
from rnnexp.tasks.base import Finite, Task
from rnnexp.train.build import build_task
from tests.helpers.exported import needed
from tests.helpers.task_batches import mean_scores

RANDOM = np.random.default_rng(0)
FRAME = pandas.DataFrame(
    {"a": RANDOM.normal(3, 2, 100), "b": RANDOM.normal(-1, 5, 100), "c": np.arange(100.0) ** 2}
)


def saved(folder: Path, frame: pandas.DataFrame = FRAME, name: str = "f.csv") -> str:
    path = folder / name
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    elif name.endswith(".npz"):
        np.savez(path, **{str(key): column.to_numpy() for key, column in frame.items()})
    else:
        frame.to_csv(path, index=False)
    return str(path)


def series(path: str, **options: Any) -> Task:
    return build_task("series", None, path=path, **{"window_steps": 4, **options})


def windows(task: Task, split: str) -> tuple[np.ndarray, np.ndarray]:
    """All inputs (W, T, I) and targets (W, ...) or (W, T, ...) of a part."""
    source = getattr(task, split)
    assert isinstance(source, Finite)
    batch = source.take(source.arrays, jnp.arange(source.size, dtype=jnp.int32))
    every = task.mode == "synchronous"
    targets = np.asarray(batch.targets)
    return np.swapaxes(batch.inputs_TxBxI, 0, 1), np.swapaxes(targets, 0, 1) if every else targets


@pytest.mark.parametrize("name", ["f.csv", "f.npz", "f.parquet"])
def test_windows_are_those_of_a_table_cut_by_hand(tmp_path: Path, name: str) -> None:
    if name.endswith(".parquet"):
        needed("pyarrow")
    task = series(saved(tmp_path, name=name), columns="b,a", target="a", horizon=2)
    assert (task.input_size, task.output_size, task.num_steps) == (2, 1, 4)
    assert (task.mode, task.causal) == ("sequence_to_one", None)
    scaled = (FRAME - FRAME[:70].mean()) / FRAME[:70].std(ddof=0)
    for split, (begin, end) in {"train": (0, 70), "valid": (70, 85), "test": (85, 100)}.items():
        inputs, targets = windows(task, split)
        assert len(inputs) == end - begin - 4 - 2 + 1
        for n, start in enumerate(range(begin, end - 5)):
            np.testing.assert_allclose(
                inputs[n], scaled[["b", "a"]][start : start + 4], rtol=1e-5, atol=1e-6
            )
            np.testing.assert_allclose(targets[n, 0], scaled["a"][start + 5], rtol=1e-5, atol=1e-6)


def test_nothing_of_a_part_reaches_one_before_it(tmp_path: Path) -> None:
    """Training does not see what comes after it, and validation not the test."""
    path = saved(tmp_path)
    before = {split: windows(series(path), split) for split in ("train", "valid", "test")}
    for begin, kept in ((85, ("train", "valid")), (70, ("train",))):
        changed = FRAME.copy()
        changed[begin:] = 1e6 * changed[begin:] + 7
        after = series(saved(tmp_path, changed))
        for split in before:
            same = [
                np.array_equal(*pair)
                for pair in zip(before[split], windows(after, split), strict=True)
            ]
            assert all(same) if split in kept else not any(same)


def test_an_answer_after_every_step(tmp_path: Path) -> None:
    task = series(saved(tmp_path), answer="every", columns="a", target="b,c", stride_steps=3)
    assert (task.mode, task.causal, task.output_size) == ("synchronous", True, 2)
    inputs, targets = windows(task, "train")
    assert inputs.shape == (22, 4, 1)
    assert targets.shape == (22, 4, 2)
    scaled = (FRAME - FRAME[:70].mean()) / FRAME[:70].std(ddof=0)
    np.testing.assert_allclose(targets[2, 1], scaled[["b", "c"]].loc[8], rtol=1e-5, atol=1e-6)
    assert {"mse_b", "mse_c", "rmse_b", "rmse_c"} <= task.baseline.keys()
    present = series(saved(tmp_path), answer="every", target="b", horizon=0)
    assert (present.causal, present.input_size) == (False, 2)


def test_columns_that_are_not_named(tmp_path: Path) -> None:
    path = saved(tmp_path)
    plain, named = series(path), series(path, columns="a,b,c", target="c")
    for split in ("train", "test"):
        for one, other in zip(windows(plain, split), windows(named, split), strict=True):
            np.testing.assert_array_equal(one, other)
    assert plain.baseline == named.baseline
    assert series(path, horizon=0).input_size == 2


def test_the_series_of_a_group_keep_apart(tmp_path: Path) -> None:
    frame = FRAME.assign(who=["x", "y"] * 50)
    path = saved(tmp_path, frame)
    task = series(path, group="who", target="a", columns="a", horizon=1)
    assert task.input_size == 1
    train = np.concatenate([FRAME["a"][0:70:2], FRAME["a"][1:70:2]])
    inputs, _ = windows(task, "train")
    assert len(inputs) == 2 * (35 - 4)
    unscaled = inputs[..., 0] * train.std() + train.mean()
    np.testing.assert_allclose(unscaled[0], FRAME["a"][0:8:2], rtol=1e-4)
    np.testing.assert_allclose(unscaled[31], FRAME["a"][1:9:2], rtol=1e-4)
    array = FRAME["a"].to_numpy().reshape(50, 2).T[..., None]
    np.savez(tmp_path / "f.npz", a=array)
    same = series(str(tmp_path / "f.npz"), target="a")
    np.testing.assert_array_equal(windows(same, "valid")[0], windows(task, "valid")[0])
    whole = series(str(tmp_path / "f.npz"), valid_fraction=0.5, test_fraction=0.0, split="series")
    assert whole.test is whole.valid
    assert len(windows(whole, "train")[0]) == len(windows(whole, "valid")[0]) == 50 - 4


def test_missing_values_are_refused_or_repeat(tmp_path: Path) -> None:
    frame = FRAME.copy()
    frame.loc[[10, 11, 90], "a"] = np.nan
    path = saved(tmp_path, frame)
    with pytest.raises(
        UsageError, match=r"line 12, column 'a': the value is missing, the first of"
    ):
        series(path)
    found = series(path, missing="previous")
    filled = series(saved(tmp_path, frame.ffill(), "g.csv"))
    for split in ("train", "valid", "test"):
        for one, other in zip(windows(found, split), windows(filled, split), strict=True):
            np.testing.assert_array_equal(one, other)
    frame.loc[0, "a"] = np.nan
    with pytest.raises(UsageError, match=r"line 2, column 'a': the value is missing;"):
        series(saved(tmp_path, frame), missing="previous")


def test_the_baseline_is_the_score_of_the_last_value(tmp_path: Path) -> None:
    task = series(saved(tmp_path), target="b")
    source = task.test
    assert isinstance(source, Finite)
    batch = source.take(source.arrays, jnp.arange(source.size, dtype=jnp.int32))
    found = mean_scores(task, batch.inputs_TxBxI[-1, :, 1:2], batch)
    assert found["loss"] == pytest.approx(task.baseline["loss"], rel=1e-4)
    assert found["mse"] == pytest.approx(task.baseline["mse"], rel=1e-4)
    true = FRAME["b"][85:].to_numpy()
    expected = np.mean((true[4:] - true[3:-1]) ** 2)
    assert task.baseline["rmse"] == pytest.approx(expected**0.5)


def test_the_generated_series_is_predicted_up_to_its_noise() -> None:
    task = build_task("series")
    assert (task.input_size, task.num_steps) == (2, 32)
    linear = task.references["nrmse of linear regression on 32 steps"]
    scale = task.baseline["rmse"] / task.baseline["nrmse"]
    assert linear * scale == pytest.approx(NOISE, rel=0.1)
    assert linear < task.baseline["nrmse"] < task.references["nrmse of the mean"]


def labelled(folder: Path, **options: Any) -> Task:
    frame = FRAME.assign(state=np.where(FRAME["a"] > 3, "hot", "cold"))
    return series(saved(folder, frame), kind="classification", target="state", **options)


def test_labels_are_classes_in_order(tmp_path: Path) -> None:
    task = labelled(tmp_path, horizon=0, answer="every")
    assert (task.input_size, task.output_size, task.headline) == (3, 2, "accuracy")
    inputs, targets = windows(task, "test")
    threshold = (3 - FRAME["a"][:70].mean()) / FRAME["a"][:70].std(ddof=0)
    np.testing.assert_array_equal(targets, inputs[..., 0] > threshold)
    true = (FRAME["a"] > 3).to_numpy()
    asked = np.concatenate([true[start : start + 4] for start in range(85, 97)])
    p = true[:70].mean()
    expected = -np.mean(np.where(asked, np.log(p), np.log(1 - p)))
    assert task.baseline["loss"] == pytest.approx(expected)
    assert task.references == {}
    ahead = labelled(tmp_path, horizon=1)
    assert ahead.references == {
        "accuracy of the present class": pytest.approx(np.mean(true[88:99] == true[89:]))
    }
    assert ahead.mode == "sequence_to_one"


def test_a_label_for_each_series(tmp_path: Path) -> None:
    x = RANDOM.normal(size=(10, 8, 1))
    kinds = np.array([0, 1] * 5)
    np.savez(tmp_path / "f.npz", x=x, kind=kinds)
    task = series(
        str(tmp_path / "f.npz"), kind="classification", target="kind", split="series", horizon=0,
        window_steps=8, valid_fraction=0.2, test_fraction=0.2,
    )  # fmt: skip
    assert windows(task, "train")[1].tolist() == kinds[:6].tolist()
    assert windows(task, "test")[1].tolist() == kinds[8:].tolist()
    assert windows(task, "test")[0].shape == (2, 8, 1)


def constant(column: str, begin: int = 0) -> pandas.DataFrame:
    frame = FRAME.copy()
    frame.loc[begin:, column] = 5.0
    return frame


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        (FRAME, {"columns": "a,d"}, r"config.task.columns: .*f.csv: unknown column 'd'"),
        (FRAME, {"target": "cc"}, r"config.task.target: .*'cc'. Did you mean 'c'\?"),
        (FRAME, {"group": "a,b"}, "config.task.group takes one column, not a, b"),
        (FRAME, {"horizon": 0, "columns": "a", "target": "a"}, "the target 'a' is its own input"),
        (FRAME[["a"]], {"horizon": 0}, "has no column but a: none is left as input"),
        (FRAME, {"horizon": -1}, "horizon must be at least 0, not -1"),
        (FRAME, {"horizon": 200}, r"the training part has 70 steps; .* needs at least 204"),
        (FRAME, {"window_steps": 15}, "the validation part has 15 steps; .* needs at least 16"),
        (FRAME, {"window_steps": 0}, "window_steps must be at least 1, not 0"),
        (FRAME, {"stride_steps": 0}, "stride_steps must be at least 1, not 0"),
        (FRAME, {"kind": "clasification"}, "Did you mean 'classification'"),
        (FRAME, {"answer": "first"}, "unknown option 'answer' 'first'"),
        (FRAME, {"missing": "zero"}, "unknown option 'missing' 'zero'"),
        (FRAME, {"split": "tim"}, "Did you mean 'time'"),
        (FRAME, {"valid_fraction": 0.9}, "their sum below 1"),
        (FRAME, {"split": "series"}, "the training part has none of the 1 series"),
        (constant("b"), {}, "the column 'b' is 5 in all of the training part; leave it out"),
        (FRAME.assign(a="x"), {}, r"f.csv, line 2, column 'a': 'x' is no number"),
        (FRAME.assign(s="x"), {"kind": "classification"}, "the column 's' has one label, 'x'"),
        (FRAME, {"kind": "classification", "target": "a,b"}, "one config.task.target, not a, b"),
        (
            FRAME.assign(s=["x", "y"] * 40 + ["z"] * 20), {"kind": "classification"},
            r"line 82, column 's': the label 'z' of the validation part .*, which has x, y",
        ),
    ],
)  # fmt: skip
def test_what_will_not_do(
    tmp_path: Path, frame: pandas.DataFrame, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        series(saved(tmp_path, frame), **options)
    assert "\n" not in str(caught.value)


def test_a_column_may_be_constant_after_training(tmp_path: Path) -> None:
    assert series(saved(tmp_path, constant("b", 70)), target="a").input_size == 3


def test_a_run_knows_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path, runs = saved(tmp_path), str(tmp_path / "runs")
    arguments = [
        "run", "series/gru", f"--config.task.path={path}", "--config.task.columns=a,b",
        "--config.task.target=b", "--config.task.window_steps=4", "--config.cell.hidden_size=3",
        "--config.train.duration_steps=2", "--config.train.batch_size=4", "--runs-dir", runs,
    ]  # fmt: skip
    assert main(arguments) == 0
    first = find_run("series/gru", Path(runs))
    assert json.loads((first / "sources.json").read_text())["data"].keys() == {"f.csv"}
    saved(tmp_path, FRAME + 1)
    assert main(arguments) == 0
    assert f"f.csv has changed since {first}: this is another run" in caplog.text
    assert find_run("series/gru", Path(runs)) != first
    capsys.readouterr()
    assert main(["inspect", str(first)]) == 0
    assert "layer_0" in capsys.readouterr().out
    assert main(["sample", str(first)]) == 2
    assert capsys.readouterr().err == (
        "rnnexp: series makes no music, and writes no text, answers or patterns\n"
    )
