"""The flight recorder: the last steps before a divergence, kept, explained and replayed."""
