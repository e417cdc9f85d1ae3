"""Long expressive memory, Rusch et al. 2022: adding over 2,000 steps.

    rnnexp study experiments/studies/planned/rusch_2022.py

The authors' log of their own recipe (128 units, batch 50, Adam with a rate of 0.0026, a longest
time step of 0.0242) has the squared error of a validation first below 0.01 after 1,900 updates, and
below 0.001 after 3,100. Without memory it is 1/6.

A training of 128 units over 2,000 steps is the better part of an hour of one core. Ours have 32,
and end when two validations are below 0.001.
"""

from rnnexp.study import Bound, Margin, Reference, Runs, Study, Updates, steps_until

SEEDS = 6
"""The fewest whose range holds a median with 95 %."""
UPDATES = 6400  # beyond twice the most of the goals
GOALS = {0.01: 1900, 0.001: 3100}
"""Updates until a validation is below a squared error."""
MARGIN = Margin(
    2, "one training is known of each, so half or twice as many are held to be the same"
)
RECIPE = {
    "task.length_steps": 2000, "cell.hidden_size": 32, "cell.dt": 0.0242, "train.batch_size": 50,
    "train.duration_steps": UPDATES, "optimizer.name": "adam", "optimizer.learning_rate": 0.0026,
    "clip.name": "none", "eval.every_steps": 100, "eval.examples": 500, "eval.batch_size": 500,
    "record.every_steps": 100, "checkpoint.every_steps": 1000, "early_stopping.goal": "loss",
    "early_stopping.goal_below": min(GOALS), "early_stopping.goal_validations": 2,
}  # fmt: skip


def get_study() -> Study:
    """Updates until two limits of the squared error, and the error in the test."""
    source = "Rusch et al. 2022, log of the authors' program"
    return Study(
        name="rusch_2022",
        paper="Rusch, Mishra, Erichson & Mahoney 2022, Long expressive memory",
        table="adding, T = 2,000",
        groups=[Runs("lem", "adding/lem", RECIPE, SEEDS)],
        claims=[
            *(
                Updates(
                    name=f"updates until the squared error is below {below}",
                    reference=Reference(source, "V", updates, "one training"),
                    group="lem",
                    measure=f"below {below}",
                    margin=MARGIN,
                )
                for below, updates in GOALS.items()
            ),
            Bound(
                name="squared error in the test",
                reference=Reference(source, "V", 0.001, "reached in one training"),
                group="lem",
                measure="test_loss",
                at_most=0.001,
            ),
        ],
        measures={f"below {below}": steps_until("valid", "loss", below=below) for below in GOALS},
        deviations=["32 units, the authors' 128", "the best validation's weights are tested"],
    )
