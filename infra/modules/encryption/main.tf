# A key of one's own for what is kept: buckets, images, the database and Vertex AI.

locals {
  # Google's service agents, which encrypt and decrypt in the project's name.
  agents = {
    storage     = "service-${var.project_number}@gs-project-accounts.iam.gserviceaccount.com"
    registry    = "service-${var.project_number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    vertex      = "service-${var.project_number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
    vertex_code = "service-${var.project_number}@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"
    database    = "service-${var.project_number}@gcp-sa-cloud-sql.iam.gserviceaccount.com"
    secrets     = "service-${var.project_number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
  }
}

resource "google_kms_key_ring" "this" {
  project  = var.project_id
  name     = var.name
  location = var.location
}

resource "google_kms_crypto_key" "this" {
  name            = var.name
  key_ring        = google_kms_key_ring.this.id
  rotation_period = "7776000s" # 90 days
  labels          = var.labels

  # With the key all that it encrypts is lost.
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_kms_crypto_key_iam_member" "agent" {
  for_each = local.agents

  crypto_key_id = google_kms_crypto_key.this.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value}"
}
