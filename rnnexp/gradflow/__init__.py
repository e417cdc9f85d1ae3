"""Gradient flow through time: adjoints, limits, penalties, growth."""
