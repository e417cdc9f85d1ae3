"""The speed of a training step, compared with other libraries on the same work."""
