"""What every other package uses: errors, types, trees, files, masks, matrices, tables."""
