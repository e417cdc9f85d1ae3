"""No two seeds that are taken give the same stream, in either precision; others are refused."""

from collections.abc import Callable
from typing import Any

import jax
import pytest

from rnnexp.cli.main import main
from rnnexp.core.errors import UsageError
from rnnexp.core.seeds import MOST_SEED, seed_key
from rnnexp.sweep.axes import Space, parse_space
from rnnexp.sweep.search.spec import SearchSettings
from rnnexp.tasks.batches import stream_keys
from rnnexp.train.build import build_task, weights_key

EDGES = (0, 1, 2**31 - 1, 2**31, MOST_SEED - 1, MOST_SEED)
REFUSED = (-1, -(2**32), MOST_SEED + 1, 2**64, 10**30)


def bits(seed: int) -> tuple[int, ...]:
    """The numbers of a seed's key."""
    return tuple(jax.random.key_data(seed_key(seed)).tolist())


@pytest.mark.parametrize("wide", [False, True])
def test_seeds_have_different_keys_and_the_same_in_both_precisions(wide: bool) -> None:
    with jax.enable_x64(wide):
        assert [bits(seed) for seed in EDGES] == [(0, seed) for seed in EDGES]


TAKERS: dict[str, Callable[[int], Any]] = {
    "weights": weights_key,
    "streams": stream_keys,
    "a list of seeds": lambda seed: parse_space(["cell=gru"], seeds=f"0,{seed}"),
    "draws of a sweep": lambda seed: parse_space(["cell=gru"], draw_seed=seed),
    "a space": lambda seed: Space(seeds=(seed,)),
    "a search": lambda seed: SearchSettings(trials=1, seed=seed),
    "digits": lambda seed: build_task("digits", split_seed=seed),
    "mnist": lambda seed: build_task("mnist", by="pixel", permuted=True, permutation_seed=seed),
    "dates": lambda seed: build_task("date_format", data_seed=seed),
    "numbers": lambda seed: build_task("translation", data_seed=seed),
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("seed", REFUSED)
def test_whoever_takes_a_seed_refuses_one_that_is_not_its_own(taker: str, seed: int) -> None:
    with pytest.raises(UsageError, match=f"{seed}$"):
        TAKERS[taker](seed)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("run adding/gru --config.seed=4294967296", "config.seed"),
        ("run adding/gru --config.seed=-1", "config.seed"),
        ("sweep adding/gru --seeds 0,4294967296 --dry-run", "--seeds"),
        ("sweep adding/gru --seeds 2 --config.seed=4294967295 --dry-run", "--seeds"),
        ("sweep adding/gru --seeds 0,-1 --dry-run", "seeds"),
        ("sweep adding/gru --sweep cell.hidden_size=log:4..9 --sweep random:2 --draw-seed -1"
         " --dry-run", "--draw-seed"),
    ],
)  # fmt: skip
def test_a_command_line_with_such_a_seed_ends_with_2(
    line: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert named in error
    assert "Traceback" not in error
