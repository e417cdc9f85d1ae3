"""A search: Optuna proposes settings, and their runs train on lanes."""
