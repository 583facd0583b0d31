# One person's trial: no protection, no key of its own, everything can be thrown away.
environment         = "dev"
deletion_protection = false
log_days            = 30
retraining_days     = 30
