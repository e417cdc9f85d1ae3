"""The verdict on a diverged run says where growth began."""

import json
from pathlib import Path

from rnnexp.results.load import load_run
from tests.helpers.diverging_runs import flight_of


def test_the_verdict_says_where_growth_began(diverged: Path) -> None:
    status = load_run(diverged).status
    growth = status["divergence"]["growth"]
    assert json.loads(flight_of(diverged).attrs["growth"]) == growth
    assert (growth["unit"], growth["leaf"], growth["lag"]) == ("layer_0", "h", 11 - growth["time"])
    assert f"growth began at step {growth['step']} in layer_0" in status["reason"]
    data = flight_of(diverged)
    largest_N = data["dL_dh"].max(("unit", "time")).values
    onset = data["step"].values.tolist().index(growth["step"])
    assert largest_N[onset:].min() > largest_N[:onset].min()
    assert growth["gate"]["gate"] in data["gate"].values.tolist()
    assert data["gate_step"].values.tolist() == [
        data["step"].values[0],
        growth["step"],
        status["step"],
    ]
