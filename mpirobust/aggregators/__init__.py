"""From an answers to a verdict."""
