"""Jobs: programs that run in the background."""
