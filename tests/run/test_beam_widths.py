"""What beams find, width by width: exact answers, ln p, and search errors."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnexp.cli.main import main
from rnnexp.core.types import Batch
from rnnexp.models.decode import beam, greedy
from rnnexp.run.beam_widths import beam_figures, target_log_p
from tests.helpers.transducers import LENGTHS, B, O, U, batch, model_of


def shown() -> Batch:
    """A batch whose targets end with the stop symbol."""
    x, symbols = batch()
    lengths = jnp.array([U, 2, 1], jnp.int32)[:B]
    ends = jnp.arange(U, dtype=jnp.int32)[:, None] < lengths[None] - 1
    return Batch(x, jnp.where(ends, jnp.maximum(symbols[:U], 1), 0), jnp.array(LENGTHS), lengths)


def test_ln_p_of_a_target_is_that_of_a_beam_which_has_found_it() -> None:
    model = model_of()
    given = shown()
    found = beam(model, given.inputs_TxBxI, given.lengths_B, steps=U, width=2)
    stops = np.asarray(found.length_BxW[:, 0]).astype(np.int32)
    again = given._replace(targets=found.symbols_UxBxW[..., 0], target_lengths_B=jnp.asarray(stops))
    np.testing.assert_allclose(
        target_log_p(model, again), found.log_likelihood_BxW[:, 0], rtol=1e-4
    )
    right, _, length, missed = beam_figures(model, again, found)
    assert right.tolist() == [1.0] * B
    assert missed.tolist() == [0.0] * B
    assert length.tolist() == stops.tolist()


def test_a_search_error_is_a_target_that_is_likelier_than_what_was_found() -> None:
    """The best of a wide beam is the target of a greedy one, which misses some of them."""
    missed_any = 0
    for seed in range(6):
        model = model_of()
        model.readout.kernel[...] = 2 * jax.random.normal(jax.random.key(seed), (5, O))
        given = shown()
        wide = beam(model, given.inputs_TxBxI, given.lengths_B, steps=U, width=60)
        first = greedy(model, given.inputs_TxBxI, given.lengths_B, steps=U)
        targets = wide.symbols_UxBxW[..., 0]
        lengths = wide.length_BxW[:, 0].astype(jnp.int32)
        narrow = beam(model, given.inputs_TxBxI, given.lengths_B, steps=U, width=1)
        right, _, _, missed = beam_figures(
            model, given._replace(targets=targets, target_lengths_B=lengths), narrow
        )
        other = np.any(np.asarray(first) != np.asarray(targets), 0)
        assert missed.tolist() == other.astype(float).tolist()
        assert right.tolist() == (~other).astype(float).tolist()
        missed_any += int(other.sum())
    assert missed_any > 0


def test_the_command_shows_widths_and_draws_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "reverse/gru", "--config.cell.hidden_size=8", "--config.train.duration_steps=3"]
    run += ["--config.task.longest=4", "--config.eval.batch_size=32", "--config.eval.examples=32"]
    assert main([*run, "--runs-dir", str(tmp_path)]) == 0
    capsys.readouterr()
    inspect = ["inspect", "reverse/gru", "--runs-dir", str(tmp_path)]
    picture = tmp_path / "x.png"
    assert main([*inspect, "--beams", "1,3", "--plot", str(picture), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["width"] for row in found["beams"]] == [1, 3]
    assert found["examples"] == 32
    assert found["beams"][0]["log_p"] <= found["beams"][1]["log_p"] + 1e-5
    assert picture.read_bytes()[:4] == b"\x89PNG"
    for more, words in (
        (["--beams", "1,x"], "--beams takes widths, such as 1,2,4"),
        (["--beams", "0"], "a beam's width must be at least 1, not 0"),
        (["--length-power", "1"], "it goes with --beams"),
        (["--beams", "1", "--nodes"], "--nodes does not go with --beams"),
    ):
        assert main([*inspect, *more]) == 2
        assert words in capsys.readouterr().err
