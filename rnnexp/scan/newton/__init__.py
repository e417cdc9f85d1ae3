"""Time in parallel for cells of any kind: `rnnexp.scan.newton.solve` says how."""
