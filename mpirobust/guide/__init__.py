"""What a plan can say: the kinds and keys with their meanings, a schema for editors, and plans to begin with."""
