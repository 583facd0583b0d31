"""What to build and where it runs: the settings, their files, environments and reference."""
