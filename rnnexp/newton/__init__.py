"""Time in parallel for cells of any kind: `rnnexp.newton.solve` says how."""
