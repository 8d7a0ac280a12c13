"""Feedback: what compression leaves out of one message is sent in later ones. Worker half and center half."""
