"""Measurements beside training: spectra, Jacobian products, gates, dL/dW by lag."""
