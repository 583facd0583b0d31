"""Many questions at once: a file of them to answers with their sources."""
