"""The robust compressed collective for training loops of other programs."""
