"""Command-line tools of Google Cloud as notebooks call them, done by Google's own clients.

What is not among the common forms is shown, noted as skipped, and never taken for done.
"""
