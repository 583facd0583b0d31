"""The load that an endpoint can carry and its cost: load generation, measurements, sizing."""
