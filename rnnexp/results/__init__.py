"""What runs have logged, read again: tables, statistics, comparisons. Nothing is drawn."""
