"""Cloud Build's builds, and what runs them, reads their scans and compares their specs here."""
