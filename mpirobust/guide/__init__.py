"""The guide to plans: the kinds and keys with their meanings, a schema for editors, and plans to begin with."""
