# The project, where it is to be made, and the APIs that doctune uses.

resource "google_project" "this" {
  #checkov:skip=CKV2_GCP_5:Data access logs are set by google_project_iam_audit_config below, which the check does not follow through a conditional project.
  count = var.create ? 1 : 0

  project_id      = var.project_id
  name            = var.project_id
  billing_account = var.billing_account
  org_id          = var.folder_id == null ? var.org_id : null
  folder_id       = var.folder_id
  labels          = var.labels
  # A default network has rules that nobody asked for.
  auto_create_network = false
  deletion_policy     = "PREVENT"
}

locals {
  project_id = var.create ? google_project.this[0].project_id : var.project_id
}

resource "google_project_service" "api" {
  for_each = var.apis

  project = local.project_id
  service = each.value
  # What else uses the API in this project would break.
  disable_on_destroy = false
}

resource "google_project_iam_audit_config" "data_access" {
  for_each = var.audited_apis

  project = local.project_id
  service = each.value

  audit_log_config {
    log_type = "DATA_READ"
  }
  audit_log_config {
    log_type = "DATA_WRITE"
  }
  audit_log_config {
    log_type = "ADMIN_READ"
  }
}

data "google_project" "this" {
  project_id = local.project_id

  depends_on = [google_project_service.api]
}
