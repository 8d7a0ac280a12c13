"""Everything of a run that is not the papers' loop: each observer sees every round and may end the run."""
