"""A rule, a compressor, a feedback and an observer that mpirobust knows nothing of."""
