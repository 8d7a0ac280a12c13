"""The HDF5 files of a run: the trace and the checkpoints, and the folder that they are in."""
