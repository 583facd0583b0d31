# Cloud Build triggers: on a pull request, on a merge to main, and on a release tag.
#
# The repository is connected once by hand, in the console or with gcloud, since GitHub asks a person
# to agree (docs/gcp-setup.md); its resource name is given here.

locals {
  triggers = {
    pull-request = {
      description = "Checks, tests and builds without pushing."
      file        = var.files.pull_request
      approval    = false
    }
    merge = {
      description = "Tests, builds, publishes and runs train_and_deploy on a small corpus."
      file        = var.files.merge
      approval    = false
    }
    release = {
      description = "Promotes what was tested to production, once somebody approves."
      file        = var.files.release
      approval    = true
    }
  }
}

resource "google_cloudbuild_trigger" "this" {
  for_each = var.repository == null ? {} : { for name, trigger in local.triggers : name => trigger if contains(var.enabled, name) }

  project         = var.project_id
  location        = var.location
  name            = "${var.prefix}-${each.key}"
  description     = each.value.description
  filename        = each.value.file
  service_account = var.service_account
  substitutions   = lookup(var.substitutions, each.key, {})
  tags            = ["doctune", each.key]
  # A log in GitHub would show it to everybody who can read the repository.
  include_build_logs = "INCLUDE_BUILD_LOGS_UNSPECIFIED"

  repository_event_config {
    repository = var.repository

    dynamic "pull_request" {
      for_each = each.key == "pull-request" ? [var.branch] : []
      content {
        branch = pull_request.value
        # Code of strangers runs with the build account only after an owner's comment.
        comment_control = "COMMENTS_ENABLED_FOR_EXTERNAL_CONTRIBUTORS_ONLY"
      }
    }

    dynamic "push" {
      for_each = each.key == "merge" ? [var.branch] : []
      content {
        branch = push.value
      }
    }

    dynamic "push" {
      for_each = each.key == "release" ? [var.release_tag] : []
      content {
        tag = push.value
      }
    }
  }

  approval_config {
    approval_required = each.value.approval
  }
}
