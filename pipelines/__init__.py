"""The DAGs: one a file, each reads as a list of steps and holds no logic."""
