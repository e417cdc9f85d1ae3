"""The configuration: its keys, defaults, the command line's part, and what does not fit."""
