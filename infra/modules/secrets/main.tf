# Secrets without their values: a value in Terraform would lie in its state for all to read. Add one:
#   printf %s VALUE | gcloud secrets versions add NAME --data-file=-

locals {
  grants = merge([
    for secret, readers in var.secrets : {
      for name, member in readers : "${secret}/${name}" => { secret = secret, member = member }
    }
  ]...)
}

resource "google_secret_manager_secret" "this" {
  for_each = var.secrets

  project             = var.project_id
  secret_id           = "${var.prefix}-${each.key}"
  labels              = var.labels
  deletion_protection = var.deletion_protection
  # A version that was destroyed by mistake can be had back for a day.
  version_destroy_ttl = "86400s"

  replication {
    user_managed {
      replicas {
        location = var.location

        dynamic "customer_managed_encryption" {
          for_each = var.kms_key == null ? [] : [var.kms_key]
          content {
            kms_key_name = customer_managed_encryption.value
          }
        }
      }
    }
  }
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.grants

  project   = var.project_id
  secret_id = google_secret_manager_secret.this[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value.member
}
