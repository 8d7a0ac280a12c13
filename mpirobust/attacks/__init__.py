"""The attacks of Byzantine workers."""
