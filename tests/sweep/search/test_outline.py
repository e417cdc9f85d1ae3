"""The outline of a search chooses values as the space names them."""

from rnnexp.sweep.axes import parse_space
from rnnexp.sweep.search.outline import make_outline
from rnnexp.sweep.search.space import choose, make_sampler
from rnnexp.sweep.starting_points import read_base
from tests.helpers.small_search import optuna


def test_values_of_every_kind_of_axis_are_chosen_as_the_space_names_them() -> None:
    texts = [
        "cell.hidden_size=4,8,16", "optimizer.learning_rate=log:1e-3..1e-1:3",
        "zip:clip.name=value,none;clip.threshold=0.5,2", "train.batch_size=log:2..9",
        "model.residual=true,false",
    ]  # fmt: skip
    base = read_base("adding/rnn")
    outline = make_outline(
        parse_space(texts), base, trials=9, sampler="random", pruner="none", prune_after=None,
        seed=0, data_dir=None,
    )  # fmt: skip
    assert outline.settings == 3 * 3 * 2 * 8 * 2
    study, seen = optuna.create_study(), set()
    for number in range(150):
        trial = study.ask()
        study.sampler = make_sampler("random", 0, number)
        values = outline.choose(trial)
        point = outline.make(values)
        assert values == {k: v for k, v in point.changes.items() if k != "seed"}
        pair = (values["clip.name"], values["clip.threshold"])
        assert pair in {("value", 0.5), ("none", 2.0)}
        seen |= {("size", values["cell.hidden_size"]), ("rate", values["optimizer.learning_rate"])}
        seen |= {("batch", values["train.batch_size"]), ("residual", values["model.residual"])}
        seen |= {pair}
    sizes = {("size", n) for n in (4, 8, 16)} | {("rate", r) for r in (1e-3, 1e-2, 1e-1)}
    rest = {("batch", n) for n in range(2, 10)} | {("residual", True), ("residual", False)}
    assert seen == sizes | rest | {("value", 0.5), ("none", 2.0)}
    assert choose(trial, []) == {}
