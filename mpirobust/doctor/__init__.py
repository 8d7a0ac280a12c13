"""An examination before a long run: the processes of a job, its network, its disk, and what to change."""
