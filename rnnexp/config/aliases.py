"""What other programs call a key: for suggestions, never in place of its name."""

import difflib
from collections.abc import Iterable

ALIASES = {
    "lr": "optimizer.learning_rate",
    "rate": "optimizer.learning_rate",
    "optim": "optimizer.name",
    "opt": "optimizer.name",
    "optimizer": "optimizer.name",
    "wd": "optimizer.weight_decay",
    "decay": "optimizer.weight_decay",
    "scheduler": "optimizer.schedule",
    "lr_scheduler": "optimizer.schedule",
    "warmup": "optimizer.warmup_steps",
    "hidden": "cell.hidden_size",
    "hidden_dim": "cell.hidden_size",
    "hidden_units": "cell.hidden_size",
    "units": "cell.hidden_size",
    "size": "cell.hidden_size",
    "width": "cell.hidden_size",
    "n_hidden": "cell.hidden_size",
    "d_model": "cell.hidden_size",
    "layers": "model.num_layers",
    "n_layers": "model.num_layers",
    "depth": "model.num_layers",
    "bptt": "model.cut_steps",
    "tbptt": "model.cut_steps",
    "truncate": "model.cut_steps",
    "checkpointing": "model.remat_steps",
    "remat": "model.remat_steps",
    "batch": "train.batch_size",
    "bs": "train.batch_size",
    "epochs": "train.duration_epochs",
    "num_epochs": "train.duration_epochs",
    "max_epochs": "train.duration_epochs",
    "iterations": "train.duration_steps",
    "steps": "train.duration_steps",
    "num_steps": "train.duration_steps",
    "max_steps": "train.duration_steps",
    "duration": "train.duration_steps",
    "clipping": "clip.threshold",
    "grad_clip": "clip.threshold",
    "max_norm": "clip.threshold",
    "gradient_clip_val": "clip.threshold",
    "eval_every": "eval.every_steps",
    "log_every": "record.every_steps",
    "save_every": "checkpoint.every_steps",
    "patience": "early_stopping.patience",
    "random_seed": "seed",
    "gpus": "devices",
}
"""Keys by what else they are called, without a section."""


def meant_key(typed: str, keys: Iterable[str]) -> str | None:
    """The key that an undeclared one means: of the same name elsewhere, by an alias, or nearest.

    Args:
      typed: a dotted key, whose section may be wrong or missing.
      keys: the declared ones.
    """
    known = list(keys)
    last = typed.rpartition(".")[2]
    namesakes = [key for key in known if key.rpartition(".")[2] == last]
    if len(namesakes) == 1:
        return namesakes[0]
    if ALIASES.get(last) in known:
        return ALIASES[last]
    siblings = [key for key in known if key.startswith(typed.partition(".")[0] + ".")]
    near = difflib.get_close_matches(typed, siblings or known, n=1, cutoff=0.5)
    if not near and "." not in typed:
        names = {key.rpartition(".")[2]: key for key in known}
        near = [names[name] for name in difflib.get_close_matches(last, names, n=1, cutoff=0.6)]
    return near[0] if near else None
