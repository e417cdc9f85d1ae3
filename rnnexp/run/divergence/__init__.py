"""The flight recorder: the last steps before a divergence, recorded, explained and replayed."""
