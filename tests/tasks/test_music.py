"""Piano rolls: files, buckets, baselines of the four collections."""

import itertools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import savemat  # type: ignore[import-untyped]

from rnnexp.core.errors import UsageError
from rnnexp.core.types import Batch
from rnnexp.data import polyphonic
from rnnexp.data.buckets import group_by_length
from rnnexp.data.polyphonic import PianoRolls
from rnnexp.tasks import music
from rnnexp.tasks.base import Bucketed, Task
from tests.helpers.data_files import data_or_skip

FACTORIES = {
    "JSB_Chorales": music.jsb_chorales,
    "Nottingham": music.nottingham,
    "MuseData": music.musedata,
    "Piano_midi": music.piano_midi,
}


# shared/reference/numbers.md, table C2: Markov pooled, Markov by sequence, marginal pooled
ANCHORS = {
    "JSB_Chorales": (10.491, 10.489, 11.091),
    "Nottingham": (5.153, 5.195, 10.261),
    "MuseData": (8.559, 8.194, 11.515),
    "Piano_midi": (8.265, 8.587, 11.052),
}


# shared/data/README.md: sequences, steps of the shortest and longest, total steps, notes a
# step and silent steps of the training split; sequences of the other two
FACTS = {
    "JSB_Chorales": (229, 25, 129, 13_807, 3.898, 18, 76, 77),
    "Nottingham": (694, 40, 1_788, 176_561, 3.961, 487, 173, 170),
    "MuseData": (524, 9, 3_457, 245_202, 3.493, 12_962, 135, 124),
    "Piano_midi": (87, 111, 3_857, 75_911, 3.044, 4_917, 12, 25),
}


def random_roll(seed: int, steps: int) -> np.ndarray:
    """Notes that tend to go on."""
    rng = np.random.default_rng(seed)
    keeps = rng.random((steps, 88)) < 0.7
    roll = (rng.random((steps, 88)) < 0.1).astype(np.uint8)
    for t in range(1, steps):
        roll[t] = np.where(keeps[t], roll[t - 1], roll[t])
    return roll


def random_rolls() -> PianoRolls:
    """Splits of 9, 5 and 6 sequences of 2 to 20 frames."""
    lengths = [2, 20, 7, 7, 13, 3, 18, 5, 9], [4, 6, 15, 2, 8], [11, 2, 20, 5, 5, 16]
    counter = itertools.count()
    return PianoRolls(*(tuple(random_roll(next(counter), n) for n in row) for row in lengths))


def cell_array(rolls: tuple[np.ndarray, ...]) -> np.ndarray:
    """What MATLAB calls a cell array, of shape (1, N)."""
    cells = np.empty((1, len(rolls)), object)
    cells[0] = [*rolls, None][:-1]
    return cells


def write_mat(path: Path, **changed: np.ndarray | None) -> Path:
    """A file of `random_rolls`, some variables replaced or left out."""
    content = dict(zip(polyphonic.VARIABLES, map(cell_array, random_rolls()), strict=True))
    savemat(path, {k: v for k, v in (content | changed).items() if v is not None})
    return path


# --- reader ---------------------------------------------------------------------------


def test_a_mat_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    read = polyphonic.read_rolls(write_mat(tmp_path / "music.mat"))
    for split, written in zip(read, random_rolls(), strict=True):
        for roll, expected in zip(split, written, strict=True):
            np.testing.assert_array_equal(roll, expected, strict=True)


def with_sequence(roll: np.ndarray) -> np.ndarray:
    """A split whose second sequence is `roll`."""
    return cell_array((random_roll(0, 3), roll))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"testdata": None}, "variables traindata, validdata; expected traindata, validdata, test"),
        ({"traindata": np.zeros((5, 88), np.uint8)}, r"traindata is an array of uint8 .*\(5, 88\)"),
        ({"validdata": cell_array(())}, "validdata is an array"),
        ({"validdata": with_sequence(np.zeros((4, 87), np.uint8))}, r"1 of validdata .*\(4, 87\)"),
        ({"validdata": with_sequence(np.zeros((4, 88)))}, "1 of validdata .* float64"),
        ({"testdata": with_sequence(np.zeros((1, 88), np.uint8))}, "T at least 2"),
        ({"testdata": with_sequence(np.full((4, 88), 3, np.uint8))}, "holds the value 3"),
    ],
    ids=["missing", "no cells", "empty", "narrow", "floats", "one frame", "values"],
)
def test_a_mat_file_of_other_content_is_named(
    tmp_path: Path, changed: dict[str, np.ndarray | None], words: str
) -> None:
    path = write_mat(tmp_path / "other.mat", **changed)
    with pytest.raises(UsageError, match=words) as caught:
        polyphonic.read_rolls(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kept", [0, 60, 128, 150, -40], ids=str)
def test_a_damaged_mat_file_is_named(tmp_path: Path, kept: int) -> None:
    path = write_mat(tmp_path / "cut.mat")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UsageError) as caught:
        polyphonic.read_rolls(path)
    assert str(path) in str(caught.value)


def test_a_missing_mat_file_and_an_unknown_collection(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*absent.mat: No such file"):
        polyphonic.read_rolls(tmp_path / "absent.mat")
    with pytest.raises(UsageError, match="Did you mean 'Nottingham'"):
        polyphonic.load("nottinghm", tmp_path)


@pytest.mark.parametrize("name", FACTS)
def test_facts_about_the_collections(name: str) -> None:
    rolls = polyphonic.load(name, data_or_skip(f"polyphonic/{name}.mat"))
    lengths = [len(roll) for roll in rolls.train]
    frames = np.concatenate(rolls.train)
    found = (
        *(len(lengths), min(lengths), max(lengths), sum(lengths)),
        round(float(frames.sum() / len(frames)), 3),
        int(np.sum(~frames.any(1))),
        *(len(rolls.valid), len(rolls.test)),
    )
    assert found == FACTS[name]


# --- buckets --------------------------------------------------------------------------


def least_padding(lengths: np.ndarray, buckets: int) -> float:
    """By trying every way to cut the sorted lengths into so many runs."""
    ordered = np.sort(lengths)
    totals = []
    for cuts in itertools.combinations(range(1, len(ordered)), buckets - 1):
        runs = np.split(ordered, list(cuts))
        totals.append(sum(len(run) * run[-1] for run in runs))
    return float(1 - ordered.sum() / min(totals))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("buckets", [1, 2, 3, 4])
def test_buckets_pad_as_little_as_the_best_of_all_cuts(seed: int, buckets: int) -> None:
    lengths = np.random.default_rng(seed).geometric(0.05, 9)
    grouping = group_by_length(lengths, most_buckets=buckets, padding_below=0)
    together = np.sort(np.concatenate(grouping.members))
    np.testing.assert_array_equal(together, np.arange(9))
    padded = sum(len(members) * lengths[members].max() for members in grouping.members)
    np.testing.assert_allclose(grouping.padding, 1 - lengths.sum() / padded, atol=1e-12)
    np.testing.assert_allclose(grouping.padding, least_padding(lengths, buckets), atol=1e-12)
    longest = [lengths[members].max() for members in grouping.members]
    assert longest == sorted(longest)


@pytest.mark.parametrize("seed", range(6))
def test_buckets_are_as_few_as_the_padding_allows(seed: int) -> None:
    lengths = np.random.default_rng(seed).geometric(0.02, 12)
    grouping = group_by_length(lengths, padding_below=0.2)
    number = len(grouping.members)
    assert grouping.padding < 0.2
    assert number == 1 or least_padding(lengths, number - 1) >= 0.2


def test_buckets_of_equal_and_of_hopeless_lengths() -> None:
    equal = group_by_length(np.full(5, 7), most_buckets=8, padding_below=0)
    assert [m.tolist() for m in equal.members] == [[0, 1, 2, 3, 4]]
    assert equal.padding == 0
    two = group_by_length(np.array([1, 100, 10_000]), most_buckets=2, padding_below=0)
    assert [m.tolist() for m in two.members] == [[0, 1], [2]]


@pytest.mark.parametrize(("lengths", "most"), [([], 8), ([3, 0], 8), ([3], 0)])
def test_buckets_of_nothing(lengths: list[int], most: int) -> None:
    with pytest.raises(UsageError, match="bucketing needs"):
        group_by_length(np.array(lengths, int), most_buckets=most)


# --- tasks ----------------------------------------------------------------------------


def batches(source: object) -> list[Batch]:
    """All sequences of a source, a bucket at a time."""
    assert isinstance(source, Bucketed)
    return [
        jax.jit(source.take)(b.arrays, jnp.arange(b.size, dtype=jnp.int32)) for b in source.buckets
    ]


def hand_averages(rolls: PianoRolls, *, silence_first: bool) -> tuple[float, float]:
    """Markov losses of the test split, pooled and by sequence, counted in plain loops."""
    train, test = (
        [[[0] * 88, *r.tolist()] if silence_first else r.tolist() for r in split]
        for split in (rolls.train, rolls.test)
    )
    counts = np.full((88, 2, 2), 0.5)
    for roll in train:
        for before, after in itertools.pairwise(roll):
            for note in range(88):
                counts[note, before[note], after[note]] += 1
    losses = [
        [
            -sum(
                math.log(counts[n, before[n], after[n]] / counts[n, before[n]].sum())
                for n in range(88)
            )
            for before, after in itertools.pairwise(roll)
        ]
        for roll in test
    ]
    pooled = sum(map(sum, losses)) / sum(map(len, losses))
    return pooled, sum(sum(row) / len(row) for row in losses) / len(losses)


@pytest.mark.parametrize("first_step", music.FIRST_STEPS)
def test_the_baseline_is_counted_right(first_step: str) -> None:
    rolls = random_rolls()
    task = music.music_task("t", rolls, first_step)
    expected = hand_averages(rolls, silence_first=first_step == "predicted")
    np.testing.assert_allclose(list(task.baseline.values()), expected, rtol=1e-12)
    assert list(task.baseline) == ["loss", "loss_per_sequence"]
    assert task.references["loss of probability 1/2 for every note"] == 88 * math.log(2)


def model_scores(task: Task, p_2x88: np.ndarray) -> dict[str, float]:
    """Test scores of a network that knows the previous frame alone, and babbles in padding."""
    logit = jnp.asarray(np.log(p_2x88) - np.log1p(-p_2x88))
    parts = []
    for batch in batches(task.test):
        steps, size, _ = batch.inputs_TxBxI.shape
        one, two = (jnp.broadcast_to(row, (steps, size, 88)) for row in logit)
        logits = jnp.where(batch.inputs_TxBxI > 0, two, one)
        assert batch.lengths_B is not None
        valid = jnp.arange(steps, dtype=jnp.int32)[:, None, None] < batch.lengths_B[None, :, None]
        babble = jnp.full_like(logits, 1e6)
        parts.append(
            task.scores(jnp.where(jnp.broadcast_to(valid, logits.shape), logits, babble), batch)
        )
    return {
        name: float(sum(p[name].total_B.sum() for p in parts))
        / float(sum(p[name].count_B.sum() for p in parts))
        for name in parts[0]
    }


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("first_step", music.FIRST_STEPS)
def test_a_network_that_is_the_baseline_scores_the_baseline(first_step: str) -> None:
    rolls = random_rolls()
    task = music.music_task("t", rolls, first_step)
    if first_step == "predicted":
        rolls = PianoRolls(*(tuple(np.pad(r, ((1, 0), (0, 0))) for r in s) for s in rolls))
    found = model_scores(task, music.note_transitions(rolls.train))
    for name, value in found.items():
        np.testing.assert_allclose(value, task.baseline[name], rtol=1e-12)
    marginal = model_scores(task, music.note_marginals(rolls.train))["loss"]
    np.testing.assert_allclose(marginal, task.references["loss of per-note marginals"], rtol=1e-12)


@pytest.mark.parametrize("first_step", music.FIRST_STEPS)
def test_every_sequence_is_in_a_bucket_once_and_shifted_by_one_step(first_step: str) -> None:
    rolls = random_rolls()
    task = music.music_task("t", rolls, first_step)
    longest = 0
    for source, split in ((task.train, rolls.train), (task.valid, rolls.valid)):
        left = [roll.tolist() for roll in split]
        for batch in batches(source):
            assert batch.lengths_B is not None
            longest = max(longest, len(batch.targets))
            for b, length in enumerate(batch.lengths_B.tolist()):
                inputs = np.asarray(batch.inputs_TxBxI[:length, b])
                targets = np.asarray(batch.targets[:length, b])
                np.testing.assert_array_equal(inputs[1:], targets[:-1])
                first = [] if first_step == "predicted" else [inputs[0].tolist()]
                assert first_step == "skipped" or not inputs[0].any()
                left.remove([*first, *targets.tolist()])
        assert left == []
    assert task.num_steps == longest == (19 if first_step == "skipped" else 20)


def test_the_first_step_is_skipped_or_predicted() -> None:
    with pytest.raises(UsageError, match=r"unknown option 'first_step' 'skip'\. Did you mean 'ski"):
        music.music_task("t", random_rolls(), "skip")


@pytest.mark.parametrize("name", FACTORIES)
def test_baselines_and_padding_of_the_collections(name: str) -> None:
    task = FACTORIES[name](data_dir=data_or_skip(f"polyphonic/{name}.mat"))
    pooled, by_sequence, marginal = ANCHORS[name]
    assert round(task.baseline["loss"], 3) == pooled
    assert round(task.baseline["loss_per_sequence"], 3) == by_sequence
    assert round(task.references["loss of per-note marginals"], 3) == marginal
    for source in (task.train, task.valid, task.test):
        assert isinstance(source, Bucketed)
        assert len(source.buckets) <= 8
        padded = sum(bucket.size * bucket.steps for bucket in source.buckets)
        assert 1 - sum(int(b.arrays[1].sum()) for b in source.buckets) / padded < 0.2
