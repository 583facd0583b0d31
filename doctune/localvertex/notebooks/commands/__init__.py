"""Google Cloud's command-line tools for notebooks, implemented with Google's clients.

Commands that are not supported are displayed and reported as skipped.
"""
