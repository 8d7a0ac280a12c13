"""The workers of a run: their placement on ranks, the protocol, and both ends of it."""
