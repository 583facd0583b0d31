"""A/B tests of models: assignment, metrics, always-valid inference, and decisions."""
