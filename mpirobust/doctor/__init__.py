"""What a job has to work with: its processes, its network, its disk; and what to change before a long run."""
