"""Time series of the user's from a file, or a generated one: regression or classification.

The file is a table whose rows are steps (`rnnexp.data.read_table`); without a file the series is
that of `rnnexp.data.oscillator`, whose best prediction one step ahead is known. The steps of a
series are cut, in their order, into training, validation and test part, and no window lies in two.
Columns are standardised by their mean and deviation in the training part alone.
`rnnexp.tasks.forecasts` defines windows, scores and baselines.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnexp.core.errors import UsageError, require_at_least, require_choice
from rnnexp.core.types import Array, Batch
from rnnexp.data.oscillator import driven_oscillator
from rnnexp.data.read_table import read_table
from rnnexp.data.table import (
    Table,
    chosen,
    labels,
    numbers,
    place,
    require_present,
    sorted_labels,
)
from rnnexp.data.windows import (
    PARTS,
    Stretch,
    fill_previous,
    joined_rows,
    series_of,
    split_series,
    window_starts,
)
from rnnexp.tasks.base import Score, Task
from rnnexp.tasks.forecasts import (
    Part,
    Window,
    class_baselines,
    class_scores,
    derived_figures,
    regression_baselines,
    regression_scores,
    source_of,
)

KINDS = ("regression", "classification")
ANSWERS = ("last", "every")
MISSING = ("refuse", "previous")
REGRESSION, CLASSIFICATION = KINDS


def series(
    *,
    path: str = "",
    columns: str = "",
    target: str = "",
    kind: str = "regression",
    horizon: int = 1,
    window_steps: int = 32,
    stride_steps: int = 1,
    answer: str = "last",
    group: str = "",
    split: str = "time",
    valid_fraction: float = 0.15,
    test_fraction: float = 0.15,
    missing: str = "refuse",
    delimiter: str = "",
    header: str = "auto",
) -> Task:
    """Predict columns of a table of your own, some steps ahead, from a window of its rows.

    Args:
      path: a file (.csv, .tsv, .txt, .dat, .npz, .parquet); "" is a generated oscillator.
      columns: the inputs, such as a,b; "": all columns but the group, and but a target that the
        network may not see.
      target: the columns to predict, such as b; "": the last one.
      kind: regression, or classification of one target, a column of labels.
      horizon: how many steps ahead of the last input the target is.
      window_steps: rows of a window.
      stride_steps: rows from the start of a window to that of the next.
      answer: last (after the last row of a window) or every (after each of them).
      group: the column that says to which series a row belongs; "": all rows are one series.
      split: time (each series is cut in three) or series (the first ones are for training).
      valid_fraction: fraction of the steps, or series, that follow the training part.
      test_fraction: fraction that follows the validation part; 0: the validation part is the test.
      missing: refuse a missing value, or previous: repeat the value before it.
      delimiter: tab, semicolon, bar, comma or space; "": it is found.
      header: whether the first line has names: yes, no, or auto: if it has no number.

    Raises `UsageError` if the file or an option is unsuitable.
    """
    require_at_least(1, window_steps=window_steps, stride_steps=stride_steps)
    require_at_least(0, horizon=horizon)
    for name, value, known in (
        ("kind", kind, KINDS), ("answer", answer, ANSWERS), ("missing", missing, MISSING)
    ):  # fmt: skip
        require_choice(f"option {name!r}", value, known)
    window = Window(window_steps, horizon, answer == "every")
    table = (
        read_table(Path(path).expanduser(), delimiter=delimiter, header=header)
        if path else driven_oscillator()
    )  # fmt: skip
    roles = roles_of(table, columns, target, group, kind, horizon)
    of_table = series_of(table, group)
    parts = split_series(of_table, valid_fraction, test_fraction, split)
    starts = window_starts(parts, window_steps, horizon, stride_steps, table.source)
    x_NxI, _ = standardised(table, roles.columns, of_table, parts["train"], missing)
    if kind == CLASSIFICATION:
        codes_N, classes = class_codes(table, roles.targets[0], parts)
        made = made_parts(x_NxI, codes_N, parts, starts)
        return _task(made, window, _classification(made, window, len(classes)))
    y_NxO, deviation_O = standardised(table, roles.targets, of_table, parts["train"], missing)
    made = made_parts(x_NxI, y_NxO, parts, starts)
    return _task(made, window, _regression(made, window, deviation_O, roles))


class Roles(NamedTuple):
    """The columns of a table that are inputs, and those that are targets."""

    columns: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def target_is_seen(self) -> bool:
        """Whether all targets are inputs too."""
        return {*self.targets} <= {*self.columns}


def roles_of(table: Table, columns: str, target: str, group: str, kind: str, horizon: int) -> Roles:
    """The inputs and targets that the options name, or those that are meant without them.

    Raises `UsageError` for an unknown column, or a target that the inputs would give away.
    """
    groups = chosen(table, group, "group")
    if len(groups) > 1:
        raise UsageError(f"config.task.group takes one column, not {', '.join(groups)}")
    others = [name for name in table.columns if name not in groups]
    targets = chosen(table, target, "target") or tuple(others[-1:])
    if kind == CLASSIFICATION and len(targets) > 1:
        raise UsageError(f"classification takes one config.task.target, not {', '.join(targets)}")
    hidden = targets if kind == CLASSIFICATION or horizon == 0 else ()
    inputs = chosen(table, columns, "columns") or tuple(n for n in others if n not in hidden)
    if shown := [name for name in targets if name in inputs and horizon == 0]:
        raise UsageError(
            f"with horizon 0 the target {shown[0]!r} is its own input; leave it out of "
            "config.task.columns, or choose a horizon of 1 or more"
        )
    if not inputs:
        raise UsageError(
            f"{table.source} has no column but {', '.join(table.columns)}: none is left as input"
        )
    return Roles(inputs, targets)


def standardised(
    table: Table,
    names: Sequence[str],
    of_table: Sequence[Stretch],
    train: Sequence[Stretch],
    missing: str,
) -> tuple[np.ndarray, list[float]]:
    """Columns (N, C) with mean 0 and deviation 1 over the training part; their deviations there.

    Raises `UsageError` for a cell that is no number, a missing value, or a column that is constant
    in the training part.
    """
    rows_N, found, deviations = joined_rows(train), [], []
    for name in names:
        values_N = numbers(table, name)
        if missing == "previous":
            values_N = fill_previous(values_N, of_table)
        require_present(table, name, values_N)
        deviation = float(np.std(values_N[rows_N]))
        if deviation <= 1e-12 * float(np.max(np.abs(values_N[rows_N]))):
            raise UsageError(
                f"{table.source}: the column {name!r} is {values_N[rows_N[0]]:g} in all of the "
                "training part; leave it out of config.task.columns, or choose another target"
            )
        found.append((values_N - np.mean(values_N[rows_N])) / deviation)
        deviations.append(deviation)
    return np.stack(found, 1), deviations


def class_codes(
    table: Table, name: str, parts: Mapping[str, Sequence[Stretch]]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """A column of labels as numbers (N,), and the labels in order: those of the training part.

    Raises `UsageError` for a column with one label, or a label that training lacks.
    """
    labels_N = labels(table, name)
    classes = sorted_labels(labels_N[joined_rows(parts["train"])])
    if len(classes) < 2:
        raise UsageError(
            f"{table.source}: the column {name!r} has one label, {classes[0]!r}, in all of the "
            "training part; choose another config.task.target"
        )
    known = {label: code for code, label in enumerate(classes)}
    codes_N = np.array([known.get(label, -1) for label in labels_N])
    for part, stretches in parts.items():
        rows_N = joined_rows(stretches)
        if (unseen := codes_N[rows_N] < 0).any():
            row = int(rows_N[np.argmax(unseen)])
            raise UsageError(
                f"{place(table, row, name)}: the label {str(labels_N[row])!r} of the {PARTS[part]} "
                f"part does not occur in the training part, which has {', '.join(classes)}"
            )
    return codes_N, classes


def made_parts(
    x_NxI: np.ndarray,
    y_N: np.ndarray,
    parts: Mapping[str, Sequence[Stretch]],
    starts: Mapping[str, np.ndarray],
) -> dict[str, Part]:
    """Each part's own rows and windows; without a test part that of validation is both."""
    rows = {part: joined_rows(stretches) for part, stretches in parts.items()}
    made = {part: Part(x_NxI[rows[part]], y_N[rows[part]], starts[part]) for part in parts}
    return made if parts["test"] else made | {"test": made["valid"]}


class Scoring(NamedTuple):
    """How answers are scored, and by what predictors the scores are compared."""

    outputs: int
    headline: str
    scores: Callable[[Array, Batch], Mapping[str, Score]]
    baseline: Mapping[str, float]
    references: Mapping[str, float]
    derived: Mapping[str, Callable[[Mapping[str, Array]], Array]]


def _regression(
    parts: Mapping[str, Part], window: Window, deviation_O: Sequence[float], roles: Roles
) -> Scoring:
    """The scoring of numbers."""
    baselines = regression_baselines(
        parts["train"], parts["test"], window, deviation_O, roles.targets,
        seen=roles.target_is_seen,
    )  # fmt: skip
    scores = regression_scores(window, deviation_O, roles.targets)
    outputs = len(roles.targets)
    return Scoring(outputs, "nrmse", scores, *baselines, derived_figures(roles.targets))


def _classification(parts: Mapping[str, Part], window: Window, classes: int) -> Scoring:
    """The scoring of labels."""
    baselines = class_baselines(parts["train"], parts["test"], window, classes)
    return Scoring(classes, "accuracy", class_scores(window), *baselines, {})


def _task(parts: Mapping[str, Part], window: Window, scoring: Scoring) -> Task:
    """The task over the windows of the parts; a part that is two of them is one source."""
    made = {id(part): source_of(part, window) for part in parts.values()}
    return Task(
        name="series",
        mode="synchronous" if window.every else "sequence_to_one",
        input_size=parts["train"].x_NxI.shape[1],
        output_size=scoring.outputs,
        num_steps=window.steps,
        train=made[id(parts["train"])],
        valid=made[id(parts["valid"])],
        test=made[id(parts["test"])],
        scores=scoring.scores,
        baseline=scoring.baseline,
        references=scoring.references,
        derived=scoring.derived,
        headline=scoring.headline,
        higher_is_better=scoring.headline == "accuracy",
        causal=_causal(window),
    )


def _causal(window: Window) -> bool | None:
    """Of answers after every row: inputs after it are later than the present of a prediction."""
    return window.horizon > 0 if window.every else None
