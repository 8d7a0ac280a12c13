"""Partitions: the rows of each worker."""
