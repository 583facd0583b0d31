"""Tools for Cloud Build: a local runner, the scan gate, and a comparison of specs."""
