"""The report: one HTML file about many runs that opens from disk without a network."""
