"""Tests of `rnnexp/api/`."""
