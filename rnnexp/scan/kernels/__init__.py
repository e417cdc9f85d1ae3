"""Compiled kernels: whole recurrences in one call, where XLA's scan over time leaves room."""
