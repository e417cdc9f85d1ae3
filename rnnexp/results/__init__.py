"""Reads the logs of runs: tables, statistics, comparisons. Nothing is drawn."""
