# Alerts on what the gateway and the model server count themselves (/metrics of both), in PromQL.
# tests/infra/test_service_alerts.py raises each of them over recorded metrics.

locals {
  runbook = "docs/runbook.md"

  # Of Cloud Run's own metrics: whether a synthetic question was answered.
  probe_alerts = var.probe == null ? {} : {
    synthetic_question = {
      title    = "the synthetic question is not answered"
      severity = "ERROR"
      query    = "(sum(increase(run_googleapis_com:job_completed_execution_count{monitored_resource=\"cloud_run_job\",job_name=\"${var.probe}\",result=\"succeeded\"}[15m])) or vector(0)) < 1"
      duration = "300s"
      runbook  = "synthetic-question"
    }
  }

  service_alerts = {
    gateway_errors = {
      title    = "the gateway answers with errors"
      severity = "ERROR"
      query    = "sum by (model) (rate(doctune_gateway_requests_total{status=~\"5..\"}[5m])) / sum by (model) (rate(doctune_gateway_requests_total[5m])) > ${var.error_rate}"
      duration = "300s"
      runbook  = "errors"
    }
    gateway_latency = {
      title    = "answers take long"
      severity = "WARNING"
      query    = "histogram_quantile(0.99, sum by (model, le) (rate(doctune_gateway_seconds_bucket[5m]))) > ${var.latency_p99_ms / 1000}"
      duration = "600s"
      runbook  = "latency"
    }
    first_token = {
      title    = "first tokens come late"
      severity = "WARNING"
      query    = "histogram_quantile(0.95, sum by (le) (rate(doctune_server_first_token_seconds_bucket[5m]))) > ${var.first_token_p95_seconds}"
      duration = "600s"
      runbook  = "latency"
    }
    saturation = {
      title    = "requests wait for the model"
      severity = "WARNING"
      query    = "avg_over_time(doctune_server_waiting[10m]) > ${var.waiting_requests}"
      duration = "300s"
      runbook  = "saturation"
    }
    stuck = {
      title    = "a model server is stuck"
      severity = "ERROR"
      query    = "max_over_time(doctune_server_silent_seconds[5m]) > 120"
      duration = "0s"
      runbook  = "stuck"
    }
    empty_answers = {
      title    = "answers are empty"
      severity = "ERROR"
      query    = "sum by (model) (rate(doctune_gateway_answers_total{kind=\"empty\"}[30m])) / sum by (model) (rate(doctune_gateway_answers_total[30m])) > ${var.empty_rate}"
      duration = "0s"
      runbook  = "empty-answers"
    }
    refused_answers = {
      title    = "many questions are refused"
      severity = "WARNING"
      query    = "sum by (model) (rate(doctune_gateway_answers_total{kind=\"refused\"}[1h])) / sum by (model) (rate(doctune_gateway_answers_total[1h])) > ${var.refused_rate}"
      duration = "0s"
      runbook  = "refused-answers"
    }
    unsupported_answers = {
      title    = "answers have no source"
      severity = "WARNING"
      query    = "sum by (model) (rate(doctune_gateway_answers_total{kind=\"unsupported\"}[1h])) / sum by (model) (rate(doctune_gateway_answers_total[1h])) > ${var.unsupported_rate}"
      duration = "0s"
      runbook  = "unsupported-answers"
    }
    drift = {
      title    = "questions are not as they were"
      severity = "WARNING"
      query    = "abs(sum(rate(doctune_gateway_answers_total{kind=\"refused\"}[1h])) / sum(rate(doctune_gateway_answers_total[1h])) - sum(rate(doctune_gateway_answers_total{kind=\"refused\"}[7d])) / sum(rate(doctune_gateway_answers_total[7d]))) > ${var.drift}"
      duration = "3600s"
      runbook  = "drift"
    }
    down_votes = {
      title    = "users vote answers down"
      severity = "WARNING"
      query    = "sum(rate(doctune_gateway_votes_total{vote=\"down\"}[6h])) / sum(rate(doctune_gateway_votes_total[6h])) > ${var.down_vote_rate} and sum(increase(doctune_gateway_votes_total[6h])) > 10"
      duration = "0s"
      runbook  = "down-votes"
    }
    silence = {
      title    = "the gateway answers nothing"
      severity = "ERROR"
      query    = "(sum(increase(doctune_gateway_requests_total{status=\"200\"}[15m])) or vector(0)) < 1"
      duration = "300s"
      runbook  = "silence"
    }
    lost_predictions = {
      title    = "predictions are not logged"
      severity = "ERROR"
      query    = "max_over_time(doctune_gateway_log_dropped[10m]) > 0"
      duration = "0s"
      runbook  = "lost-predictions"
    }
    cost = {
      title    = "tokens cost more than planned"
      severity = "WARNING"
      query    = "sum(increase(doctune_gateway_tokens_total[1d])) > ${var.tokens_a_day}"
      duration = "0s"
      runbook  = "cost"
    }
  }
}

resource "google_monitoring_alert_policy" "service" {
  for_each = merge(local.service_alerts, local.probe_alerts)

  project               = var.project_id
  display_name          = "doctune: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = each.key

    condition_prometheus_query_language {
      query               = each.value.query
      duration            = each.value.duration
      evaluation_interval = "60s"
      # The metrics are not known before the first scrape.
      disable_metric_validation = true
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "${local.runbook}#${each.value.runbook} says what to do."
  }
}
