"""The steps: one KFP component per file, each an interface with one call into doctune."""
