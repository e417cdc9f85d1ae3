"""Flax NNX modules around the cells: recurrent layer, stack, sequence model."""
