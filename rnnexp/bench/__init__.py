"""How fast a training step is, beside other libraries, on the same work."""
