# GitHub Actions without keys: a workflow of the one repository proves what it is by its own token.

resource "google_iam_workload_identity_pool" "this" {
  count = var.repository == null ? 0 : 1

  project                   = var.project_id
  workload_identity_pool_id = "${var.prefix}-github"
  display_name              = "doctune GitHub"
  description               = "Workflows of ${var.repository}."
}

resource "google_iam_workload_identity_pool_provider" "this" {
  #checkov:skip=CKV_GCP_125:The check wants one subject here. The condition below binds the repository and its number; which refs may act is bound by attribute.trusted in google_service_account_iam_member.workflow.
  count = var.repository == null ? 0 : 1

  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.this[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"

  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
    # The repository, for pushes of trusted refs alone. A pull request has a ref of its own, but
    # pull_request_target has that of main, hence the events.
    "attribute.trusted" = "assertion.event_name in ['push', 'workflow_dispatch'] && assertion.ref.matches('${var.trusted_refs}') ? assertion.repository : 'nobody'"
  }
  # By number, since a name that its owner gives up can be taken by another.
  attribute_condition = join(" && ", compact([
    "assertion.repository == '${var.repository}'",
    var.repository_id == null ? "" : "assertion.repository_id == '${var.repository_id}'",
  ]))

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "workflow" {
  count = var.repository == null ? 0 : 1

  service_account_id = var.service_account
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.this[0].name}/attribute.trusted/${var.repository}"
}
