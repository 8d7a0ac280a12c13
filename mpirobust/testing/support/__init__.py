"""Rounds, codes, workers and clusters for the contract tests."""
