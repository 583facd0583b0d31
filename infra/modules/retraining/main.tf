# Retraining by the clock.
#
# The provider has no resource for a schedule of Vertex AI Pipelines. Cloud Scheduler starts the runs
# instead: it posts a PipelineJob whose template is the compiled pipeline in Artifact Registry.
# A schedule made by `doctune schedule` lives in Vertex AI; use one or the other.

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
