locals {
  charts = [
    {
      title   = "Answers by response code"
      filter  = "${local.endpoint} AND metric.type=\"aiplatform.googleapis.com/prediction/online/response_count\""
      aligner = "ALIGN_RATE"
      reducer = "REDUCE_SUM"
      by      = ["metric.label.response_code"]
    },
    {
      title   = "Latency p99 (ms)"
      filter  = "${local.endpoint} AND metric.type=\"aiplatform.googleapis.com/prediction/online/prediction_latencies\" AND metric.labels.latency_type=\"total\""
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_PERCENTILE_99"
      by      = ["metric.label.deployed_model_id"]
    },
    {
      title   = "Replicas"
      filter  = "${local.endpoint} AND metric.type=\"aiplatform.googleapis.com/prediction/online/replicas\""
      aligner = "ALIGN_MEAN"
      reducer = "REDUCE_SUM"
      by      = ["metric.label.deployed_model_id"]
    },
    {
      title   = "CPU of the servers"
      filter  = "${local.endpoint} AND metric.type=\"aiplatform.googleapis.com/prediction/online/cpu/utilization\""
      aligner = "ALIGN_MEAN"
      reducer = "REDUCE_MAX"
      by      = ["metric.label.deployed_model_id"]
    },
    {
      title   = "GPU of the servers"
      filter  = "${local.endpoint} AND metric.type=\"aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle\""
      aligner = "ALIGN_MEAN"
      reducer = "REDUCE_MAX"
      by      = ["metric.label.deployed_model_id"]
    },
    {
      title   = "Runs that have succeeded, by day"
      filter  = "resource.type=\"aiplatform.googleapis.com/PipelineJob\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.pipeline["succeeded"].name}\""
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_SUM"
      by      = []
    },
    {
      title   = "Runs that have failed, by day"
      filter  = "resource.type=\"aiplatform.googleapis.com/PipelineJob\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.pipeline["failed"].name}\""
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_SUM"
      by      = []
    },
    {
      title   = "Seconds a run takes"
      filter  = "resource.type=\"aiplatform.googleapis.com/PipelineJob\" AND metric.type=\"aiplatform.googleapis.com/pipelinejob/duration\""
      aligner = "ALIGN_MAX"
      reducer = "REDUCE_MAX"
      by      = []
    },
  ]

  # Of the metrics that gateway and model server give at /metrics.
  service_charts = [
    {
      title = "Gateway: requests a second, by status"
      query = "sum by (status) (rate(doctune_gateway_requests_total[5m]))"
    },
    {
      title = "Gateway: first token, p95 (s)"
      query = "histogram_quantile(0.95, sum by (le) (rate(doctune_gateway_first_token_seconds_bucket[5m])))"
    },
    {
      title = "Gateway: answers that say nothing, refuse or have no support"
      query = "sum by (kind) (rate(doctune_gateway_answers_total{kind!=\"ok\"}[1h])) / ignoring(kind) group_left sum(rate(doctune_gateway_answers_total[1h]))"
    },
    {
      title = "Gateway: share of down-votes"
      query = "sum(rate(doctune_gateway_votes_total{vote=\"down\"}[6h])) / sum(rate(doctune_gateway_votes_total[6h]))"
    },
    {
      title = "Gateway: tokens a day"
      query = "sum(increase(doctune_gateway_tokens_total[1d]))"
    },
    {
      title = "Model server: tokens a second"
      query = "sum by (kind) (rate(doctune_server_tokens_total[5m]))"
    },
    {
      title = "Model server: waiting and running"
      query = "sum(doctune_server_waiting) + sum(doctune_server_running)"
    },
    {
      title = "Model server: mean batch"
      query = "sum(rate(doctune_server_rows_total[5m])) / sum(rate(doctune_server_steps_total[5m]))"
    },
    {
      title = "Model server: share of the cache in use"
      query = "sum(doctune_server_cache_bytes) / sum(doctune_server_cache_budget_bytes)"
    },
    {
      title = "Model server: memory (bytes)"
      query = "max(doctune_server_memory_bytes)"
    },
  ]

  widgets = concat(
    [
      for chart in local.charts : {
        title = chart.title
        query = {
          timeSeriesFilter = {
            filter = chart.filter
            aggregation = {
              alignmentPeriod    = strcontains(chart.title, "by day") ? "86400s" : "300s"
              perSeriesAligner   = chart.aligner
              crossSeriesReducer = chart.reducer
              groupByFields      = chart.by
            }
          }
        }
      }
    ],
    [for chart in local.service_charts : { title = chart.title, query = { prometheusQuery = chart.query } }],
  )
}

resource "google_monitoring_dashboard" "this" {
  project = var.project_id
  dashboard_json = jsonencode({
    displayName = "doctune"
    mosaicLayout = {
      columns = 12
      tiles = [
        for index, widget in local.widgets : {
          xPos   = 6 * (index % 2)
          yPos   = 4 * floor(index / 2)
          width  = 6
          height = 4
          widget = {
            title = widget.title
            xyChart = {
              dataSets = [{
                plotType        = "LINE"
                timeSeriesQuery = widget.query
              }]
            }
          }
        }
      ]
    }
  })
}
