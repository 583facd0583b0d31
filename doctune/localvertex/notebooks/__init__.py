"""Runs Google's notebooks, as they come, inside a local Vertex AI: `doctune local notebook`."""
