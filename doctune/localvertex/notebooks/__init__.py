"""Runs Google's notebooks, unchanged, in localvertex: `doctune local notebook`."""
