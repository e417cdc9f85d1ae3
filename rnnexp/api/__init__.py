"""What scripts and notebooks call: every command as a function with plain keywords.

`rnnexp` has the names of these functions. They take names as the command line does, read them as
it does, call the same functions, and return directories, tables and arrays.
"""
