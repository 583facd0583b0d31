"""A/B tests of models: assignment, metrics, inference that holds under peeking, decisions."""
