"""Data sources: LIBSVM, MNIST, synthetic rows."""
