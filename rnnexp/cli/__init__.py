"""The command line: one file a command, with its arguments and what it does."""
