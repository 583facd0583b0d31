"""Vertex AI's wire, taken from the installed client: methods, messages, routes, errors."""
