"""How wrong is CD-k? Its bias, without sampling, against the mixing of the Gibbs chain.

    python experiments/contrastive_divergence.py [--steps 600] [--out FILE.png]

A machine of 9 visible and 4 hidden units learns bars and stripes, 3 x 3, by the exact gradient of
the likelihood. So small a machine has a Gibbs kernel K that can be written down, 512 x 512, and
with it the expected gradient of CD-k, whose model phase is p_0 K^k (`rnnexp.cells.gibbs`). Its
distance from the true gradient is the bias. Like the reach of truncated back-propagation it falls
by a factor a step, here |lambda_2|, the second eigenvalue of K.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from rnnexp.cells.free_energy import all_states, log_partition
from rnnexp.cells.gibbs import Machine, expected_contrast, gibbs_kernel
from rnnexp.cli.output import print_table
from rnnexp.tasks.bars_and_stripes import all_patterns

PICTURE = Path(__file__).parent / "pictures" / "contrastive_divergence.png"
SIDE, HIDDEN = 3, 4
LEARNING_RATE = 0.1
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""k of the table."""
MOMENTS = (0, 0.05, 0.2, 1)
"""Of the training, as fractions."""


class Moment(NamedTuple):
    """A machine of the training: after so many updates, its loss in nats, |lambda_2| of its
    kernel, the norm of the true gradient, and the bias and the cosine of CD-k for every k."""

    update: int
    nats: float
    second: float
    gradient: float
    bias_K: np.ndarray
    cosine_K: np.ndarray


def main() -> None:
    """Train, measure, print, draw."""
    parser = argparse.ArgumentParser(description="CD-k's bias against |lambda_2|^k, exactly")
    parser.add_argument("--steps", type=int, default=600, help="updates of the training")
    parser.add_argument("--out", type=Path, default=PICTURE)
    known = parser.parse_args()
    with jax.enable_x64(True):
        data_S = data_distribution()
        moments = [measured(*found, data_S) for found in trained(known.steps, data_S)]
    print_tables(moments)
    draw(moments, known.out)
    print(f"drawn: {known.out}")


def data_distribution() -> jax.Array:
    """p_0 of all vectors of 9 bits: equal on the 14 pictures."""
    numbers = all_patterns(SIDE) @ (1 << np.arange(SIDE * SIDE))
    return jnp.zeros(2 ** (SIDE * SIDE)).at[numbers].set(1 / len(numbers))


def mean_nats(machine: Machine, data_S: jax.Array) -> jax.Array:
    """The mean negative log-likelihood."""
    free_S = machine.free_energies(all_states(SIDE * SIDE, data_S.dtype))
    return data_S @ free_S + log_partition(*machine)


def trained(steps: int, data_S: jax.Array) -> list[tuple[int, Machine]]:
    """Machines at moments of a training by the exact gradient: their updates, and they."""
    size = SIDE * SIDE
    w = 0.1 * jax.random.normal(jax.random.key(0), (size, HIDDEN))
    machine = Machine(w, jnp.zeros(size), jnp.zeros(HIDDEN))
    adam = optax.adam(LEARNING_RATE)

    def update(carry: Any, _: None) -> tuple[Any, Machine]:
        machine, state = carry
        updates, state = adam.update(jax.grad(mean_nats)(machine, data_S), state)
        moved = optax.apply_updates(machine, updates)
        return (moved, state), moved

    @jax.jit
    def run(machine: Machine) -> Machine:
        after: Machine = jax.lax.scan(update, (machine, adam.init(machine)), length=steps)[1]
        return after

    after = run(machine)
    updates = sorted({round(moment * steps) for moment in MOMENTS})
    kept = [jax.tree.map(lambda leaf, n=n: leaf[n - 1], after) if n else machine for n in updates]
    return list(zip(updates, kept, strict=True))


def measured(update: int, machine: Machine, data_S: jax.Array) -> Moment:
    """The bias of CD-k beside the second eigenvalue of the kernel."""
    kernel = np.asarray(gibbs_kernel(machine))
    # p(v) K(v, v') is symmetric, so K is similar to a symmetric matrix
    root_S = np.exp(0.5 * -np.asarray(machine.free_energies(all_states(9, data_S.dtype))))
    symmetric = root_S[:, None] * kernel / root_S[None]
    values = np.linalg.eigvalsh((symmetric + symmetric.T) / 2)
    true = flat(expected_contrast(machine, data_S, None))
    found = [flat(expected_contrast(machine, data_S, k)) for k in STEPS]
    norm = np.linalg.norm(true)
    return Moment(
        update,
        float(mean_nats(machine, data_S)),
        float(np.sort(np.abs(values))[-2]),
        float(norm),
        np.array([np.linalg.norm(g - true) for g in found]),
        np.array([g @ true / (np.linalg.norm(g) * norm) for g in found]),
    )


def flat(slope: Machine) -> np.ndarray:
    """All derivatives as one vector."""
    return np.asarray(ravel_pytree(slope)[0])


def print_tables(moments: list[Moment]) -> None:
    """One row a moment, then one row a k."""
    print_table(
        "training",
        [
            {
                "update": at.update, "nats": f"{at.nats:.3f}", "|lambda_2|": f"{at.second:.4f}",
                "norm of the gradient": f"{at.gradient:.2e}",
            }
            for at in moments
        ],
    )  # fmt: skip
    rows: list[dict[str, object]] = [
        {
            "k": k,
            **{
                f"update {at.update}": f"{at.bias_K[n]:.1e} ({at.cosine_K[n]:+.3f})"
                for at in moments
            },
        }
        for n, k in enumerate(STEPS)
    ]
    print_table("bias of CD-k, and (its cosine with the gradient)", rows)


def draw(moments: list[Moment], file: Path) -> None:
    """The bias over k with lines that fall by |lambda_2| a step."""
    figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    steps = np.array(STEPS)
    for at in moments:
        there = at.bias_K > 1e-11  # below it rounding is drawn
        k, bias = steps[there].astype(float), at.bias_K[there]
        label = f"update {at.update}: |λ₂| = {at.second:.4f}"
        (line,) = axes.plot(k, bias, "o", label=label)
        between = np.geomspace(k[0], k[-1], 200)
        fall = bias[-1] * at.second ** (between - k[-1])
        axes.plot(between, fall, "--", color=line.get_color(), linewidth=0.8)
    axes.set(
        xscale="log",
        yscale="log",
        ylim=(1e-11, 1),
        xlabel="Gibbs steps k",
        ylabel="norm of CD-k's bias",
    )
    axes.set_title("dots: exact; dashed: |λ₂|^k through the last dot")
    axes.legend(fontsize="small")
    figure.savefig(file, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
