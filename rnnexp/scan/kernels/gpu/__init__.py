"""A whole recurrence in one GPU kernel, forward and backward (Pallas)."""
