"""Runs compiled pipeline specs on this machine with parts of kfp.local, in a separate process."""
