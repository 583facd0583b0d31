locals {
  endpoint = "resource.type=\"aiplatform.googleapis.com/Endpoint\""

  thresholds = {
    latency = {
      title    = "An endpoint answers slowly"
      metric   = "aiplatform.googleapis.com/prediction/online/prediction_latencies"
      labels   = " AND metric.labels.latency_type=\"total\""
      aligner  = "ALIGN_DELTA"
      reducer  = "REDUCE_PERCENTILE_99"
      limit    = var.latency_p99_ms
      duration = "600s"
      fix      = "Look at the endpoint's replicas and at max_new_tokens; raise endpoint.max_replica_count in vertex_config.yaml: docs/runbook.md#latency."
    }
    saturation = {
      title   = "An endpoint has as many replicas as it may"
      metric  = "aiplatform.googleapis.com/prediction/online/target_replicas"
      labels  = ""
      aligner = "ALIGN_MIN"
      reducer = "REDUCE_MAX"
      # The API compares by more and less alone.
      limit    = var.endpoint_max_replicas - 0.5
      duration = "900s"
      fix      = "More load now means slower answers: raise endpoint.max_replica_count, and endpoint_max_replicas here: docs/runbook.md#saturation."
    }
  }
}

resource "google_monitoring_alert_policy" "error_rate" {
  project               = var.project_id
  display_name          = "doctune: an endpoint answers with errors"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = "Share of 5xx above ${var.error_rate}"

    condition_threshold {
      filter             = "${local.endpoint} AND metric.type=\"aiplatform.googleapis.com/prediction/online/response_count\" AND metric.labels.response_code=monitoring.regex.full_match(\"5.*\")"
      denominator_filter = "${local.endpoint} AND metric.type=\"aiplatform.googleapis.com/prediction/online/response_count\""
      comparison         = "COMPARISON_GT"
      threshold_value    = var.error_rate
      duration           = "300s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.endpoint_id"]
      }
      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.endpoint_id"]
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Read the server's log of the endpoint. If a version was deployed lately, give the traffic back to the one before: docs/runbook.md#errors."
  }
}

resource "google_monitoring_alert_policy" "threshold" {
  for_each = local.thresholds

  project               = var.project_id
  display_name          = "doctune: ${each.value.title}"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = "${each.key} above ${each.value.limit}"

    condition_threshold {
      filter          = "${local.endpoint} AND metric.type=\"${each.value.metric}\"${each.value.labels}"
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.limit
      duration        = each.value.duration

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
        group_by_fields      = ["resource.label.endpoint_id"]
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = each.value.fix
  }
}

resource "google_monitoring_alert_policy" "pipeline_failed" {
  project               = var.project_id
  display_name          = "doctune: a pipeline run has failed"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = "A run ends as failed"

    condition_threshold {
      filter          = "resource.type=\"aiplatform.googleapis.com/PipelineJob\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.pipeline["failed"].name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    mime_type = "text/markdown"
    content   = "The run's page in the console names the step that failed, and its log the reason: docs/runbook.md#failed-runs."
  }
}

# A condition on absence looks back a day at most; PromQL looks back as far as one wants.
resource "google_monitoring_alert_policy" "no_retraining" {
  project               = var.project_id
  display_name          = "doctune: no successful retraining for ${var.retraining_days} days"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = "No run has succeeded for ${var.retraining_days} days"

    condition_prometheus_query_language {
      query               = "(sum(increase(${local.succeeded_in_promql}{monitored_resource=\"aiplatform.googleapis.com/PipelineJob\"}[${var.retraining_days}d])) or vector(0)) < 1"
      duration            = "3600s"
      evaluation_interval = "3600s"
      # The metric is not known before the first run.
      disable_metric_validation = true
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "See whether the schedule is paused, whether its runs fail, and whether the gate holds every model back: docs/runbook.md#no-retraining."
  }
}

resource "google_billing_budget" "this" {
  count = var.budget == null ? 0 : 1

  billing_account = var.budget.billing_account
  display_name    = "doctune ${var.project_id}"

  budget_filter {
    projects        = ["projects/${var.project_number}"]
    calendar_period = "MONTH"
  }

  amount {
    specified_amount {
      currency_code = var.budget.currency
      units         = tostring(var.budget.units)
    }
  }

  dynamic "threshold_rules" {
    for_each = var.budget.thresholds
    content {
      threshold_percent = threshold_rules.value
    }
  }

  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }

  # Without a channel the billing account's administrators hear of it alone.
  dynamic "all_updates_rule" {
    for_each = length(var.alert_emails) > 0 ? [local.channels] : []
    content {
      monitoring_notification_channels = all_updates_rule.value
      disable_default_iam_recipients   = false
    }
  }
}
