"""Jobs: programs that run in the background until they are done."""
