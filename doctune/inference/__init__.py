"""Answers from a loaded model: decoding, batching, the key-value cache; sentence vectors.

One implementation for the server, the evaluation, the data set and the command line.
"""
