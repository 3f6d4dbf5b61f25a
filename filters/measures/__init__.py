"""Counts that several rules share, measured once over a whole batch by compiled kernels."""
