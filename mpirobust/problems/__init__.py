"""Problems: the losses that are minimised."""
