"""Search: Optuna suggests settings, and their runs train on lanes."""
