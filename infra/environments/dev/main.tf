# One person's trial: no protection, no key of its own, everything can be thrown away.

module "platform" {
  source = "../../modules/platform"

  environment = "dev"

  project_id      = var.project_id
  location        = var.location
  create_project  = var.create_project
  billing_account = var.billing_account
  org_id          = var.org_id
  folder_id       = var.folder_id

  deletion_protection = false
  log_days            = 30
  retraining_days     = 30

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
