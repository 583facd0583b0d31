"""Table extraction: tables drawn with rules, and tables without rules."""
