"""Compiled kernels: whole recurrences in one call, faster than XLA's scan over time."""
