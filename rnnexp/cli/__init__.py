"""What the sub-commands do, a few lines each."""
