"""Solvers of the cubic-regularised sub-problem of one worker."""
