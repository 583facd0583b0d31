"""Runs compiled pipeline specs on this machine with kfp.local, in a process of their own."""
