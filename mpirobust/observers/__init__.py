"""All parts of a run outside the papers' loop. Each observer sees every round and may end the run."""
