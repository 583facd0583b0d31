# GitHub Actions without keys: a workflow of the one repository proves what it is by its own token.

resource "google_iam_workload_identity_pool" "this" {
  count = var.repository == null ? 0 : 1

  project                   = var.project_id
  workload_identity_pool_id = "${var.prefix}-github"
  display_name              = "doctune GitHub"
  description               = "Workflows of ${var.repository}."
}

resource "google_iam_workload_identity_pool_provider" "this" {
  #checkov:skip=CKV_GCP_125:The check wants one subject here. The condition below binds the repository and its number; which refs may act is bound one by one in google_service_account_iam_member.build.
  count = var.repository == null ? 0 : 1

  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.this[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"

  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
    "attribute.ref"        = "assertion.ref"
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

# Only what runs on these refs may act as the build account: no pull request may.
resource "google_service_account_iam_member" "build" {
  for_each = var.repository == null ? [] : var.refs

  service_account_id = var.service_account
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.this[0].name}/subject/repo:${var.repository}:${each.value}"
}
