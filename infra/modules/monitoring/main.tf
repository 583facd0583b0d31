# What is kept of the logs, what is counted in them, and who hears of what.

locals {
  pipeline_events = "logName=\"projects/${var.project_id}/logs/aiplatform.googleapis.com%2Fpipeline_job_events\" AND resource.type=\"aiplatform.googleapis.com/PipelineJob\""

  # PromQL's name of a metric that is counted in logs.
  succeeded_in_promql = "logging_googleapis_com:user_${replace(google_logging_metric.pipeline["succeeded"].name, "-", "_")}"

  metrics = {
    succeeded = "PIPELINE_STATE_SUCCEEDED"
    failed    = "PIPELINE_STATE_FAILED"
  }

  channels = [for channel in google_monitoring_notification_channel.email : channel.id]
}

resource "google_logging_project_bucket_config" "this" {
  project          = var.project_id
  location         = var.location
  bucket_id        = var.prefix
  description      = "Runs of pipelines, servers and the gateway."
  retention_days   = var.log_days
  enable_analytics = true
}

resource "google_logging_project_sink" "this" {
  project     = var.project_id
  name        = var.prefix
  description = "Keeps doctune's logs for ${var.log_days} days."
  destination = "logging.googleapis.com/${google_logging_project_bucket_config.this.id}"
  filter = join(" OR ", [
    "resource.type=\"aiplatform.googleapis.com/PipelineJob\"",
    "resource.type=\"aiplatform.googleapis.com/Endpoint\"",
    "resource.type=\"ml_job\"",
    "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.gateway}\"",
    "resource.type=\"build\"",
    "resource.type=\"cloud_scheduler_job\"",
  ])
  unique_writer_identity = true
}

resource "google_logging_metric" "pipeline" {
  for_each = local.metrics

  project     = var.project_id
  name        = "${var.prefix}_pipeline_${each.key}"
  description = "Runs of pipelines that have ${each.key}."
  filter      = "${local.pipeline_events} AND jsonPayload.state=\"${each.value}\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  project      = var.project_id
  display_name = "doctune: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }
}
