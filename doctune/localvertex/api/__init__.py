"""Vertex AI's API as defined by the installed client: methods, messages, routes, errors."""
