# Where a merge is tried on a small corpus. Like production in kind, not in size.

module "platform" {
  source = "../../modules/platform"

  environment = "staging"

  project_id      = var.project_id
  location        = var.location
  create_project  = var.create_project
  billing_account = var.billing_account
  org_id          = var.org_id
  folder_id       = var.folder_id

  deletion_protection = false
  pipeline_root_days  = 30
  log_days            = 30
  retraining_days     = 14
  build_triggers      = ["pull-request", "merge", "release"]
  database            = {}

  build_repository      = var.build_repository
  build_substitutions   = var.build_substitutions
  image_readers         = var.image_readers
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
