# Where a merge is tried on a small corpus. Like production in kind, not in size.
environment         = "staging"
deletion_protection = false
pipeline_root_days  = 30
log_days            = 30
retraining_days     = 14
build_triggers      = ["pull-request", "merge", "release"]
database            = {}
