"""The machines that a run takes: their profiles, the quota they need, and what they cost."""
