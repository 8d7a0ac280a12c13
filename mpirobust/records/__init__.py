"""The HDF5 files of a run: the trace, the checkpoints, and their folder."""
