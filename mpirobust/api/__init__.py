"""The Python interface: rules and codes on arrays, plans, runs. docs/LIBRARY.md describes it.

`mpirobust` offers its names; nothing below imports this room.
"""
