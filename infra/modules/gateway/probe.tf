# A synthetic question, asked by a clock as users ask: a silent gateway is noticed when nobody else asks.

locals {
  # Only these exist where there is a probe.
  probes = var.probe == null || var.image == null ? {} : { probe = var.probe }
}

resource "google_cloud_run_v2_job" "probe" {
  for_each = local.probes

  project             = var.project_id
  location            = var.location
  name                = "${var.name}-probe"
  labels              = var.labels
  deletion_protection = var.deletion_protection

  template {
    task_count  = 1
    parallelism = 1

    template {
      service_account = var.service_account
      encryption_key  = var.kms_key
      timeout         = "120s"
      # One that failed counts as such; the clock asks again.
      max_retries = 0

      vpc_access {
        # All of it: a gateway whose ingress is internal takes requests from the network alone.
        egress = "ALL_TRAFFIC"
        network_interfaces {
          network    = var.network
          subnetwork = var.subnetwork
        }
      }

      containers {
        image   = var.image
        command = ["doctune"]
        args    = ["probe", each.value.address, "--question", each.value.question]

        resources {
          limits = { cpu = "1", memory = "512Mi" }
        }

        dynamic "env" {
          for_each = each.value.secret == null ? {} : { DOCTUNE_PROBE_KEY = each.value.secret }
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value
                version = "latest"
              }
            }
          }
        }
      }
    }
  }

  lifecycle {
    # Cloud Build deploys newer images; Terraform must not bring back the first one.
    ignore_changes = [template[0].template[0].containers[0].image, client, client_version]
  }
}

resource "google_cloud_run_v2_job_iam_member" "probe_starter" {
  for_each = local.probes

  project  = var.project_id
  location = var.location
  name     = google_cloud_run_v2_job.probe[each.key].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.scheduler_account}"
}

resource "google_cloud_scheduler_job" "probe" {
  for_each = local.probes

  project          = var.project_id
  region           = var.location
  name             = "${var.name}-probe"
  description      = "Asks the gateway a synthetic question."
  schedule         = each.value.cron
  time_zone        = "Etc/UTC"
  attempt_deadline = "180s"

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project_id}/locations/${var.location}/jobs/${google_cloud_run_v2_job.probe[each.key].name}:run"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode("{}")

    oauth_token {
      service_account_email = var.scheduler_account
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }
}
