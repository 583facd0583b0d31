"""Answers from a loaded model: decoding, batching and the key-value cache.

One implementation for the server, the evaluation, the data set and the command line.
"""
