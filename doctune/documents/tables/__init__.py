"""Tables: those drawn with rules, and those that only stand in columns."""
