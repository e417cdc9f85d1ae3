"""What every other package stands on: errors, types, trees, files, masks, matrices, tables."""
