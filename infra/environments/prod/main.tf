# Production: a key of its own, a second database machine, nothing that can be deleted by mistake.

module "platform" {
  source = "../../modules/platform"

  environment = "prod"

  project_id      = var.project_id
  location        = var.location
  create_project  = var.create_project
  billing_account = var.billing_account
  org_id          = var.org_id
  folder_id       = var.folder_id

  deletion_protection  = true
  customer_managed_key = true
  retention_days       = 30
  log_days             = 365
  retraining_days      = 14
  audited_apis         = ["aiplatform.googleapis.com", "secretmanager.googleapis.com", "storage.googleapis.com"]
  private_google_apis  = true
  perimeter            = var.perimeter

  database = {
    tier              = "db-custom-2-7680"
    high_availability = true
    disk_gb           = 50
  }

  builders              = var.builders
  github                = var.github
  schedules             = var.schedules
  gateway               = var.gateway
  gateway_secrets       = var.gateway_secrets
  endpoint_max_replicas = var.endpoint_max_replicas
  alert_emails          = var.alert_emails
  budget = var.monthly_budget == null ? null : {
    billing_account = var.billing_account
    units           = var.monthly_budget
    currency        = var.budget_currency
  }
}
