# Artifact Registry: one repository of images, one of compiled pipelines.

locals {
  repositories = {
    images = {
      id          = var.images_repository
      format      = "DOCKER"
      description = "doctune's container images, by commit."
    }
    pipelines = {
      id          = var.pipelines_repository
      format      = "KFP"
      description = "doctune's compiled pipelines, by commit."
    }
  }

  grants = merge([
    for repository in keys(local.repositories) : merge(
      { for name, member in var.readers : "${repository}/reader/${name}" => { repository = repository, role = "roles/artifactregistry.reader", member = member } },
      { for name, member in var.writers : "${repository}/writer/${name}" => { repository = repository, role = "roles/artifactregistry.writer", member = member } },
    )
  ]...)
}

resource "google_artifact_registry_repository" "this" {
  for_each = local.repositories

  project       = var.project_id
  location      = var.location
  repository_id = each.value.id
  format        = each.value.format
  description   = each.value.description
  kms_key_name  = var.kms_key
  labels        = var.labels

  cleanup_policy_dry_run = var.cleanup_dry_run

  # Keep wins over delete: what is released stays, and the newest stay whatever their age.
  cleanup_policies {
    id     = "keep-releases"
    action = "KEEP"
    condition {
      tag_state    = "TAGGED"
      tag_prefixes = var.kept_tag_prefixes
    }
  }
  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = var.kept_versions
    }
  }
  cleanup_policies {
    id     = "delete-untagged"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "${var.untagged_days * 24 * 3600}s"
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      tag_state  = "ANY"
      older_than = "${var.old_days * 24 * 3600}s"
    }
  }

  # Cloud Build moves the tags staging, prod and cache, so that tags cannot be immutable by default;
  # what is deployed is named by its commit. KFP repositories have no such switch.
  dynamic "docker_config" {
    for_each = each.value.format == "DOCKER" ? [var.immutable_tags] : []
    content {
      immutable_tags = docker_config.value
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "grant" {
  for_each = local.grants

  project    = var.project_id
  location   = var.location
  repository = google_artifact_registry_repository.this[each.value.repository].name
  role       = each.value.role
  member     = each.value.member
}
