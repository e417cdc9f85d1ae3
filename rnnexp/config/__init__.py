"""The configuration: its keys, defaults, command-line overrides, and validation."""
