"""`python -m doctune` is the `doctune` command."""

from doctune.cli import main

main()
