"""All time steps in parallel for cells of any kind; see `rnnexp.scan.newton.solve`."""
