"""An atlas: every network of the introduction, at its best and at its limit, with its gradient.

    python experiments/atlas.py [--networks LSTM GRU ...]

Each network (`experiments/atlas_networks.py`) trains on a task that suits it and on one that does
not, small, one seed, with the laboratory on before the first and after the last update. Writes
experiments/atlas.md (table and a paragraph a network), draws experiments/pictures/atlas.png, and
writes RUNS_DIR/atlas.html. A second call makes only what is missing; so does one after a kill.
`--updates N` cuts all trainings to N updates, and writes everything into RUNS_DIR. Expected on 2
cores: under an hour.

Of each run, before and after training:

* score: of the test, as an error where the run logs a fraction of right answers;
* reach: the norm of the adjoint at the longest lag over the largest of all lags. The lag counts
  steps of the network's own axis: time, hops, updates, Gibbs or propagation steps;
* lambda_1: the largest Lyapunov exponent along that axis, nats a step; -inf: every perturbation is
  gone after some steps.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
from atlas_networks import NETWORKS, Case
from atlas_page import Measured, draw, write_markdown, write_page
from ml_collections import FrozenConfigDict

from rnnexp import experiment, finish, load_laboratory, load_run, run
from rnnexp.cells import CELLS
from rnnexp.config.schema import flat, settle_durations
from rnnexp.results.load import Run

HERE = Path(__file__).parent


def is_sequence(case: Case) -> bool:
    """Whether the axis is time, where every step may have an output, and a loss, of its own."""
    return "sequence_to_one" in CELLS.entry(case.experiment.partition("/")[2]).modes


def configured(case: Case, updates: int) -> FrozenConfigDict:
    """The configuration of a run: profiles at a hundred updates, the laboratory at both ends."""
    config = experiment(case.experiment)
    before = flat(config)
    durations = {
        "train.duration_steps": updates,
        "eval.every_steps": max(1, updates // 10),
        "checkpoint.every_steps": max(1, updates // 10),
        "record.every_steps": max(1, updates // 100),
        "laboratory.every_steps": updates,
        "laboratory.lag_examples": 0,
        "laboratory.longest_span": 0,
        "laboratory.adjoint_matrix": is_sequence(case),
        "laboratory.exponents": 1,
        "laboratory.warmup_steps": 0,
    }
    config.update_from_flattened_dict(durations | case.changes)
    settle_durations(config, before, list(durations | case.changes))
    return finish(config)


def measured(case: Case, trained: Run) -> Measured:
    """What the atlas shows of a finished run."""
    scores = (
        values.get(case.score, math.nan) for values in (trained.status["test"], trained.baseline())
    )
    score, chance = (1 - float(value) if case.error else float(value) for value in scores)
    data = load_laboratory(trained.path)
    exponents = (math.nan, math.nan)
    if "lyapunov" in data:
        first, *_, last = data["lyapunov"].isel(unit=0, exponent=0).values
        exponents = (float(first), float(last))
    if "adjoint_matrix" in data:
        first, *_, last = data["adjoint_matrix"].isel(unit=0).values
        profiles = (over_lags(first), over_lags(last))
    else:
        norms_SxT = trained.by_lag(next(iter(trained.norms)), 0)
        profiles = (norms_SxT[0], norms_SxT[-1])
    return Measured(case, score, chance, trained.axis, profiles, exponents)


def over_lags(norms_SxT: np.ndarray) -> np.ndarray:
    """The root mean square of ||dL_s/dh_t|| over outputs s, for every lag s - t from 0 on.

    A single output is that of the last step. Steps after an example's end are nan.
    """
    ends = range(norms_SxT.shape[1]) if len(norms_SxT) > 1 else (norms_SxT.shape[1] - 1,)
    lagged = np.full((len(norms_SxT), norms_SxT.shape[1]), np.nan)
    for row, (end, norms_T) in enumerate(zip(ends, norms_SxT, strict=False)):
        lagged[row, : end + 1] = norms_T[end::-1]
    known = np.isfinite(lagged).any(0)
    profile: np.ndarray = np.sqrt(np.nanmean(np.square(lagged[:, known].astype(float)), 0))
    return profile


def train(case: Case, updates: int | None, runs_dir: Path) -> Measured:
    """Train a run unless it is there, and measure it; stop where it has no test."""
    result = run(configured(case, updates or case.updates), runs_dir=runs_dir)
    trained = load_run(result.path)
    if "test" not in trained.status:
        sys.exit(f"{case.title}, {case.experiment}: {result.status}, {result.reason}")
    return measured(case, trained)


def main() -> None:
    """Train what is missing, then write the table, the picture and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [network.name for network in NETWORKS]
    parser.add_argument("--networks", nargs="+", choices=names, default=names)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/atlas"))
    parser.add_argument("--updates", type=int, metavar="N", help="of all runs, to try it")
    known = parser.parse_args()
    begun, found = time.monotonic(), []
    for network in NETWORKS:
        if network.name not in known.networks:
            continue
        cases = (network.strength, network.limit)
        strength, limit = (train(case, known.updates, known.runs_dir) for case in cases)
        found.append((network, (strength, limit)))
        spent = (time.monotonic() - begun) / 60
        print(f"{network.name}: {strength}; {limit} ({spent:.0f} min)", flush=True)
    whole = known.updates is None and len(known.networks) == len(NETWORKS)
    home = HERE if whole else known.runs_dir
    picture = home / "pictures" / "atlas.png" if whole else home / "atlas.png"
    draw(found, picture)
    write_markdown(found, home / "atlas.md")
    write_page(found, picture, known.runs_dir / "atlas.html")


if __name__ == "__main__":
    main()
