terraform {
  required_version = ">= 1.9, < 2.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.45"
    }
  }

  # The bucket and the environment's prefix are given to `terraform init` (docs/gcp-setup.md). Cloud
  # Storage locks the state while somebody applies.
  backend "gcs" {}
}

provider "google" {
  project = var.project_id
  region  = var.location
  # Quota and billing of the calls are the project's own, as the budget's API asks; of one that is
  # yet to be made they cannot be.
  user_project_override = !var.create_project
  billing_project       = var.create_project ? null : var.project_id
}
