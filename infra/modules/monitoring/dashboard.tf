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
}

resource "google_monitoring_dashboard" "this" {
  project = var.project_id
  dashboard_json = jsonencode({
    displayName = "doctune"
    mosaicLayout = {
      columns = 12
      tiles = [
        for index, chart in local.charts : {
          xPos   = 6 * (index % 2)
          yPos   = 4 * floor(index / 2)
          width  = 6
          height = 4
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [{
                plotType = "LINE"
                timeSeriesQuery = {
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
              }]
            }
          }
        }
      ]
    }
  })
}
