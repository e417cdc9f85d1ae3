"""Readers of real data: find or download, verify, parse. No knowledge of tasks."""
