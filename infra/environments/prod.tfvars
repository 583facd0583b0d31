# Production: a key of its own, a second database machine, nothing that can be deleted by mistake.
environment          = "prod"
deletion_protection  = true
customer_managed_key = true
retention_days       = 30
log_days             = 365
retraining_days      = 14
audited_apis         = ["aiplatform.googleapis.com", "secretmanager.googleapis.com", "storage.googleapis.com"]
private_google_apis  = true
database = {
  tier              = "db-custom-2-7680"
  high_availability = true
  disk_gb           = 50
}
