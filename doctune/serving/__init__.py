"""The model server that the endpoint runs: `python -m doctune.serving`."""
