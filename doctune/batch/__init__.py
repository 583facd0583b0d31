"""Batch answering: a file of questions to answers with sources."""
