"""The REST API in front of every model: keys, limits, validation, cache, log and pages."""
