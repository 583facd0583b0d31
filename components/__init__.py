"""The steps: one KFP component a file; interface only, one call into doctune each."""
