"""The native code, built with sanitizers, stays within its buffers and computes the recurrences.

Every size is 0, 1, odd, and one beside the vectors' and the blocks'; buffers lie off the
addresses that suit vectors; threads are fewer and more than there is work.
"""

import itertools
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from rnnexp.scan.kernels.cells import CELLS
from tests.helpers import native_calls
from tests.helpers.kernel_cells import needs_compiler
from tests.helpers.kernels_by_numpy import GATES, Operands, backward, forward
from tests.helpers.native_calls import BACKWARD, FORWARD, OVERFLOW, OVERRUN, Driver, Like, built

pytestmark = [needs_compiler, pytest.mark.slow]
KERNELS = [
    *((cell, dtype, "native") for cell, dtype in itertools.product(GATES, ("float32", "float64"))),
    *((cell, "float32", march) for cell in ("lstm", "tanh") for march in ("x86-64", "x86-64-v3")),
    *((cell, "float32", "teams") for cell in ("lstm_peephole", "gru", "gru_before", "tanh")),
]
TEAMS = ("-DRNNEXP_WIDE=0", "-DRNNEXP_SHARE=1")
"""Has threads divide the units whatever the sizes are."""
TOLERANCES = {"float32": 2e-5, "float64": 1e-12}


class Case(NamedTuple):
    """Sizes and options of a forward and a backward call."""

    T: int = 3
    B: int = 5
    I: int = 3  # noqa: E741
    H: int = 5
    padded: bool = False
    norms: bool = False
    taps: bool = True
    with_dx: bool = True
    with_dh: bool = True
    cut_steps: int = 0
    threads: int = 1
    numbers_off: int = 0


@pytest.fixture(scope="module", autouse=True)
def _sanitizers(tmp_path_factory: pytest.TempPathFactory) -> None:
    if missing := native_calls.sanitizers_missing(tmp_path_factory.mktemp("sanitizers")):
        pytest.skip(missing)


@pytest.fixture(params=KERNELS, ids="-".join, scope="module")
def driven(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str, Path]:
    """A kernel, its float type and its program."""
    cell, dtype, march = request.param
    if march.startswith("x86") and platform.machine() != "x86_64":
        pytest.skip("instruction sets of x86")
    options = {"native": (), "teams": TEAMS}.get(march, (f"-march={march}",))
    return cell, dtype, built(tmp_path_factory.mktemp("native"), cell, dtype, *options)


def cases(lanes: int) -> Iterator[Case]:
    """Each size at its edges while the others are small, and many together, drawn."""
    edges: dict[str, Any] = {
        "T": (0, 1, 2, 30),
        "B": (0, 1, 2, 15, 16, 17, 31, 33, 64, 97, 129),
        "I": (0, 1, 2, lanes - 1, lanes, lanes + 1, 4 * lanes, 4 * lanes + 1),
        "H": (0, 1, 2, lanes - 1, lanes, lanes + 1, 3 * lanes, 4 * lanes - 1, 4 * lanes + 1),
        "padded": (False, True),
        "norms": (False, True),
        "taps": (False, True),
        "with_dx": (False, True),
        "with_dh": (False, True),
        "cut_steps": (0, 1, 2),
        "threads": (0, 1, 2, 5),
        "numbers_off": (0, 1, 3),
    }
    for name, values in edges.items():
        for value in values:
            yield Case()._replace(**{name: value})
            yield Case(padded=True, threads=2)._replace(**{name: value})
    for names in itertools.combinations("TBIH", 2):
        both: dict[str, Any] = dict.fromkeys(names, 0)
        yield Case()._replace(**both)
    yield Case(0, 0, 0, 0)
    rng = np.random.default_rng(0)
    for _ in range(60):
        yield Case(*(values[rng.integers(len(values))] for values in edges.values()))


def drawn(cell: str, dtype: str, case: Case, rng: np.random.Generator) -> Operands:
    T, B, I, H = case[:4]  # noqa: E741

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(dtype)

    columns, known = GATES[cell] * H, CELLS[cell]
    weights = {
        "w_x": normal(I, columns) / np.sqrt(I + 1, dtype=dtype),
        "w_h": normal(H if known.recurrent else 0, columns) / np.sqrt(H + 1, dtype=dtype),
        "b": normal(columns),
        "b_hn": normal(H if known.has_hn else 0),
        "p": normal(known.own, H),
    }
    lengths = rng.integers(-1, T + 2, B).astype(np.int32) if case.padded else None
    c0 = normal(B if known.has_c else 0, H)
    return Operands(weights, normal(T, B, I), normal(B, H), c0, lengths)


def wide(given: Operands) -> Operands:
    """The same in float64."""
    weights = {name: w.astype(np.float64) for name, w in given.weights.items()}
    x, h0, c0 = (np.asarray(a, np.float64) for a in (given.x, given.h0, given.c0))
    return Operands(weights, x, h0, c0, given.lengths)


def operands(given: Operands) -> list[np.ndarray | Like]:
    lengths = np.zeros(0, np.int32) if given.lengths is None else given.lengths
    return [given.x, *given.weights.values(), given.h0, given.c0, lengths]


def compare(name: str, got: np.ndarray, wanted: np.ndarray, dtype: str, case: Case) -> None:
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
    if name in ("w_x", "w_h", "b", "b_hn", "p"):  # sums over the batch
        scale *= 1 + case.B / 10_000
    assert got.shape == wanted.shape, (name, case)
    np.testing.assert_allclose(
        got, wanted, rtol=0, atol=TOLERANCES[dtype] * scale, err_msg=f"{name} of {case}"
    )


def check(driver: Driver, cell: str, dtype: str, case: Case, rng: np.random.Generator) -> None:
    T, B, _, H = case[:4]
    given = drawn(cell, dtype, case, rng)
    item = np.dtype(dtype).itemsize
    options: dict[str, Any] = {
        "threads": case.threads,
        "has_lengths": case.padded,
        "offset": case.numbers_off * item,
    }
    saved_size = driver.facts(H)[1]
    h, c, tape = forward(cell, wide(given))
    for size in (0, saved_size):  # without a backward pass nothing is saved
        like = [Like(dtype, (T, B, H)), Like(dtype, given.c0.shape), Like(dtype, (T, B, size))]
        run = driver.call(FORWARD, operands(given), like, **options)
        assert not isinstance(run, str), (run, case)
        compare("h", run[0], h, dtype, case)
        compare("c", run[1], c, dtype, case)
    saved = np.nan_to_num(run[2])  # the padding keeps what was there
    dh_every = rng.normal(size=(T, B, H)).astype(dtype) if case.with_dh else None
    dh, dc = (rng.normal(size=a.shape).astype(dtype) for a in (given.h0, given.c0))
    args = [run[0], saved, np.zeros(0, dtype) if dh_every is None else dh_every, dh, dc]
    wanted = backward(
        cell,
        wide(given),
        tape,
        dh_every,
        dh.astype(np.float64),
        dc.astype(np.float64),
        case.cut_steps,
    )
    for leaf in ("h", "c"):
        if not case.taps or (leaf == "c" and not CELLS[cell].has_c):
            wanted[f"tap_{leaf}"] = np.zeros(0)
        elif case.norms:
            wanted[f"tap_{leaf}"] = np.linalg.norm(wanted[f"tap_{leaf}"], axis=2)
    if not case.with_dx:
        wanted["dx"] = np.zeros(0)
    names = ("dx", "w_x", "w_h", "b", "b_hn", "p", "dh0", "dc0", "tap_h", "tap_c")
    like = [Like(dtype, wanted[name].shape) for name in names]
    grads = driver.call(
        BACKWARD,
        [*operands(given), *args],
        like,
        norms=case.norms,
        cut_steps=case.cut_steps,
        **options,
    )
    assert not isinstance(grads, str), (grads, case)
    for name, got in zip(names, grads, strict=True):
        compare(name, got, wanted[name], dtype, case)


def test_every_kernel_at_every_edge(driven: tuple[str, str, Path]) -> None:
    cell, dtype, program = driven
    rng = np.random.default_rng(1)
    with Driver(program) as driver:
        for case in cases(driver.facts(1)[0]):
            check(driver, cell, dtype, case, rng)
    assert driver.process.returncode == 0


@pytest.mark.parametrize("cell", ["lstm_peephole", "gru", "gru_before", "indrnn"])
def test_members_of_a_team_wait_for_each_other(cell: str, tmp_path: Path) -> None:
    """No two of them are at the same memory, one of them writing; the thread sanitizer looks."""
    sanitize = ["-fsanitize=thread"]
    if missing := native_calls.sanitizers_missing(tmp_path, sanitize):
        pytest.skip(missing)
    rng = np.random.default_rng(5)
    with Driver(built(tmp_path, cell, "float32", *TEAMS, sanitize=sanitize)) as driver:
        wide = 9 * driver.facts(1)[0]
        for case in (
            Case(30, 9, 5, wide, threads=3),
            Case(30, 9, 5, wide, padded=True, norms=True, cut_steps=2, threads=3),
            Case(5, 140, 40, wide, with_dh=False, threads=2),
        ):
            check(driver, cell, "float32", case, rng)
    assert driver.process.returncode == 0


@pytest.mark.parametrize(
    "driven",
    [("gru", "float64", "native"), ("tanh", "float32", "native")],
    indirect=True,
    ids="-".join,
)
def test_sizes_that_do_not_fit_into_31_bits(driven: tuple[str, str, Path]) -> None:
    """Of tiles, of which a batch or an input of a million has many: their products overflowed."""
    cell, dtype, program = driven
    rng = np.random.default_rng(2)
    with Driver(program) as driver:
        for case in (Case(1, 2_600_000, 0, 1), Case(1, 1, 400_000, 1)):
            check(driver, cell, dtype, case, rng)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="no prlimit to limit memory")
@pytest.mark.parametrize("threads", [1, 3])
def test_a_call_without_enough_memory_is_an_error(tmp_path: Path, threads: int) -> None:
    """In a thread that is not the caller's, too, where it would end the process."""
    given = drawn("tanh", "float32", Case(1, 2_600_000, 0, 1), np.random.default_rng(4))
    results = [Like("float32", shape) for shape in ((1, 2_600_000, 1), (0, 1), (1, 2_600_000, 0))]
    with Driver(built(tmp_path, "tanh", "float32", sanitize=()), 90_000_000) as driver:
        said = driver.call(FORWARD, operands(given), results, threads=threads)
        assert isinstance(said, str)
        assert "bad_alloc" in said
        assert driver.facts(1)[0] > 0
    assert driver.process.returncode == 0


@pytest.mark.parametrize(
    ("fault", "value", "said"),
    [(OVERRUN, 64, "heap-buffer-overflow"), (OVERFLOW, 2**31 - 1, "signed integer overflow")],
)
def test_planted_faults_are_seen(
    driven: tuple[str, str, Path], fault: int, value: int, said: str
) -> None:
    """Of memory and of arithmetic: the sanitizers are at work."""
    with Driver(driven[2]) as driver:
        assert said in driver.fault(fault, value)


def fitting(driver: Driver, cell: str, dtype: str, kind: int) -> tuple[list[Any], list[Like]]:
    """Arguments and results of a call that fit."""
    T, B, I, H = 2, 3, 2, 4  # noqa: E741
    given = drawn(cell, dtype, Case(T, B, I, H), np.random.default_rng(3))
    start, saved = given.c0.shape, (T, B, driver.facts(H)[1])
    if kind == FORWARD:
        return operands(given), [Like(dtype, shape) for shape in ((T, B, H), start, saved)]
    ahead = [np.zeros(s, dtype) for s in ((T, B, H), saved, (T, B, H), (B, H), start)]
    weights = [w.shape for w in given.weights.values()]
    taps: list[tuple[int, ...]] = [(T, B, H), (T, B, H) if CELLS[cell].has_c else (0,)]
    shapes = [(T, B, I), *weights, (B, H), start, *taps]
    return [*operands(given), *ahead], [Like(dtype, shape) for shape in shapes]


NAMES = {
    FORWARD: "x w_x w_h b b_hn own h0 c0 lengths h c_last saved",
    BACKWARD: "x w_x w_h b b_hn own h0 c0 lengths h saved dh dh_last dc_last "
    "dx dw_x dw_h db db_hn d_own dh0 dc0 tap_h tap_c",
}


@pytest.mark.parametrize("kind", [FORWARD, BACKWARD])
def test_operands_that_do_not_fit_are_refused(driven: tuple[str, str, Path], kind: int) -> None:
    """Each by its name, whatever of it is amiss, before any memory is read."""
    cell, dtype, program = driven
    with Driver(program) as driver:
        arguments, results = fitting(driver, cell, dtype, kind)
        count = len(arguments)
        assert not isinstance(driver.call(kind, arguments, results), str)
        places = [*arguments, *results]
        for place, name in enumerate(NAMES[kind].split()):
            for wrong in amiss(places[place].shape, places[place].dtype):
                changed = [*places[:place], wrong, *places[place + 1 :]]
                said = driver.call(kind, changed[:count], changed[count:])
                assert isinstance(said, str), (name, wrong)
                if name not in ("x", "h0"):  # whose sizes are those that others are held to
                    assert f" {name} is " in said, (name, wrong, said)
                assert "expected" in said or "overflow" in said, (name, wrong, said)
        assert "expected" in str(driver.call(kind, [*arguments, arguments[0]], results))
        assert "no argument" in str(driver.call(kind, arguments[:-1], results))
        assert "no result" in str(driver.call(kind, arguments, results[:-1]))
        assert "address" in str(driver.call(kind, arguments, results, offset=1))
        huge = Like(dtype, (2**40, 2**40, 0), True)
        assert "overflow" in str(driver.call(kind, [huge, *arguments[1:]], results))
    assert driver.process.returncode == 0


def amiss(shape: tuple[int, ...], dtype: Any) -> Iterator[Like]:
    """Other types and shapes: an axis longer, shorter, missing, too many, huge."""
    other = "int32" if np.dtype(dtype).name != "int32" else "float32"
    yield Like(other, shape, True)
    yield Like(np.dtype(dtype).name, (*shape, 1), True)
    yield Like(np.dtype(dtype).name, shape[:-1], True)
    for axis, size in enumerate(shape):
        for wrong in (size + 1, 2**40):
            yield Like(np.dtype(dtype).name, (*shape[:axis], wrong, *shape[axis + 1 :]), True)
