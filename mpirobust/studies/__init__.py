"""Studies of many runs: the figures of the papers, and the matrix of rules and attacks."""
