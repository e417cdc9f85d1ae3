"""Gradient flow through time: what the project exists for."""
