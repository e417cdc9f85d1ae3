"""The command line: one file for each command, with its arguments and its function."""
