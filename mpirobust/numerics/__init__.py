"""Sums, eigenvalues and norms."""
