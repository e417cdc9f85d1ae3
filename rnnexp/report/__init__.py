"""Reading, tabulating and drawing runs."""
