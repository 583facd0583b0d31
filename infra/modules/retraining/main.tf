# Retraining by the clock, and by the trigger that decides whether it is worth it.
#
# `schedules`: the provider has no resource for a schedule of Vertex AI Pipelines. Cloud Scheduler starts the runs
# instead: it posts a PipelineJob whose template is the compiled pipeline in Artifact Registry.
# A schedule made by `doctune schedule` lives in Vertex AI; use one or the other.
#
# `trigger`: a Cloud Run job that runs `doctune retrain trigger`. Cloud Scheduler starts it every few
# minutes, and Eventarc when a PDF lands in the bucket. Cloud Run jobs are no targets of Eventarc, and
# Pub/Sub signs no requests to Google's APIs, so a workflow of one step stands between. Runs that
# overlap are harmless: the trigger holds a lease.

resource "google_cloud_scheduler_job" "this" {
  for_each = var.schedules

  project          = var.project_id
  region           = var.location
  name             = "${var.prefix}-${each.key}"
  description      = "Starts ${each.value.pipeline}."
  schedule         = each.value.cron
  time_zone        = each.value.time_zone
  paused           = each.value.paused
  attempt_deadline = "180s"

  # Vertex AI answers an existing job's ID with an error, but none is given: what was tried again
  # after an answer that got lost would run twice. One more try is worth that.
  retry_config {
    retry_count          = 1
    min_backoff_duration = "60s"
  }

  http_target {
    http_method = "POST"
    uri         = "https://${var.location}-aiplatform.googleapis.com/v1/projects/${var.project_id}/locations/${var.location}/pipelineJobs"
    headers     = { "Content-Type" = "application/json" }
    body = base64encode(jsonencode({
      displayName    = each.key
      templateUri    = "${var.pipelines_url}/${each.value.pipeline}/${each.value.version}"
      serviceAccount = var.pipeline_account
      labels         = { managed-by = "doctune", schedule = each.key }
      encryptionSpec = var.kms_key == null ? null : { kmsKeyName = var.kms_key }
      runtimeConfig = {
        gcsOutputDirectory = var.pipeline_root
        parameterValues    = jsondecode(each.value.parameters)
      }
    }))

    oauth_token {
      service_account_email = var.scheduler_account
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }
}

locals {
  # Only these exist where there is a trigger.
  triggers = var.trigger == null ? {} : { trigger = var.trigger }
  watched  = { for name, trigger in local.triggers : name => trigger if trigger.bucket != null }

  run_uri = "https://run.googleapis.com/v2/projects/${var.project_id}/locations/${var.location}/jobs/${var.prefix}-retrain-trigger:run"
}

resource "google_cloud_run_v2_job" "trigger" {
  for_each = local.triggers

  project             = var.project_id
  location            = var.location
  name                = "${var.prefix}-retrain-trigger"
  labels              = var.labels
  deletion_protection = var.deletion_protection

  template {
    task_count  = 1
    parallelism = 1

    template {
      service_account = var.trigger_account
      encryption_key  = var.kms_key
      timeout         = "1800s"
      # The next start by the clock goes on from what this one left.
      max_retries = 0

      vpc_access {
        egress = "PRIVATE_RANGES_ONLY"
        network_interfaces {
          network    = var.network
          subnetwork = var.subnetwork
        }
      }

      # config.yaml, vertex_config.yaml, retraining.yaml and prices.yaml.
      volumes {
        name = "config"
        gcs {
          bucket    = each.value.config_bucket
          read_only = true
        }
      }

      containers {
        image   = each.value.image
        command = ["doctune"]
        args = concat(
          ["retrain", "trigger", "--cloud", "--json", "--spec", "${var.pipelines_url}/retrain/${each.value.version}"],
          each.value.index == null ? [] : ["--index", each.value.index],
        )

        resources {
          limits = { cpu = "1", memory = "2Gi" }
        }

        volume_mounts {
          name       = "config"
          mount_path = "/mnt/config"
        }

        dynamic "env" {
          for_each = merge(
            { DOCTUNE_CONFIG = "/mnt/config/${each.value.config_folder}" },
            var.environment,
            each.value.environment,
          )
          content {
            name  = env.key
            value = env.value
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

resource "google_cloud_run_v2_job_iam_member" "starter" {
  for_each = local.triggers

  project  = var.project_id
  location = var.location
  name     = google_cloud_run_v2_job.trigger[each.key].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.scheduler_account}"
}

resource "google_cloud_scheduler_job" "trigger" {
  for_each = local.triggers

  project          = var.project_id
  region           = var.location
  name             = "${var.prefix}-retrain-trigger"
  description      = "Runs doctune retrain trigger."
  schedule         = each.value.cron
  time_zone        = "Etc/UTC"
  paused           = each.value.paused
  attempt_deadline = "180s"

  http_target {
    http_method = "POST"
    uri         = local.run_uri
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode("{}")

    oauth_token {
      service_account_email = var.scheduler_account
      scope                 = "https://www.googleapis.com/auth/cloud-platform"
    }
  }
}

resource "google_workflows_workflow" "trigger" {
  for_each = local.watched

  project             = var.project_id
  region              = var.location
  name                = "${var.prefix}-retrain-trigger"
  description         = "Runs doctune retrain trigger when a PDF has landed."
  service_account     = var.scheduler_account
  crypto_key_name     = var.kms_key
  labels              = var.labels
  deletion_protection = var.deletion_protection

  source_contents = jsonencode({
    main = {
      params = ["event"]
      steps = [
        {
          look = {
            switch = [{
              condition = "$${not text.match_regex(text.to_lower(event.data.name), \"[.]pdf$\")}"
              return    = "no PDF"
            }]
          }
        },
        {
          run = {
            call = "http.post"
            args = {
              url  = local.run_uri
              auth = { type = "OAuth2" }
              body = {}
            }
          }
        },
      ]
    }
  })
}

resource "google_eventarc_trigger" "pdf" {
  for_each = local.watched

  project         = var.project_id
  location        = var.location
  name            = "${var.prefix}-pdf-landed"
  service_account = var.scheduler_account
  labels          = var.labels

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.storage.object.v1.finalized"
  }
  matching_criteria {
    attribute = "bucket"
    value     = each.value.bucket
  }

  destination {
    workflow = google_workflows_workflow.trigger[each.key].id
  }

  depends_on = [google_project_iam_member.events]
}

# Eventarc hears of a bucket by messages that Cloud Storage's own account publishes.
data "google_storage_project_service_account" "this" {
  for_each = local.watched

  project = var.project_id
}

resource "google_project_iam_member" "events" {
  for_each = length(local.watched) == 0 ? {} : {
    "roles/eventarc.eventReceiver" = "serviceAccount:${var.scheduler_account}"
    "roles/workflows.invoker"      = "serviceAccount:${var.scheduler_account}"
    "roles/pubsub.publisher"       = data.google_storage_project_service_account.this["trigger"].member
  }

  project = var.project_id
  role    = each.key
  member  = each.value
}
