"""The processes of a job: collectives on buffers, recovery from rank failure, and how the job was launched.

A leaf: nothing here knows of a cluster or a plan. The one room that imports mpi4py.
"""
