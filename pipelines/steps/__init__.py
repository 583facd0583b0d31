"""Shared sub-pipelines, which other pipelines call as one step.

They have no defaults. Their callers do, from the options classes of doctune.
"""
