"""What an endpoint carries and what that costs: load, measurements, sizing."""
