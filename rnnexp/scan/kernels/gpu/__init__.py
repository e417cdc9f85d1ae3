"""A whole recurrence in one kernel of a graphics processor, forward and backward (Pallas)."""
