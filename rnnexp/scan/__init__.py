"""A cell over a whole sequence: the scan, rematerialisation, parallel paths, kernels."""
