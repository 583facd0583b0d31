variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "project_number" {
  type        = string
  description = "Number of the project."
}

variable "location" {
  type        = string
  description = "Region in which the logs are kept."
}

variable "prefix" {
  type        = string
  default     = "doctune"
  description = "Name of the log bucket and the sink; begins the metrics' names."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*$", var.prefix))
    error_message = "A prefix has lower-case letters and digits alone: PromQL's names have no hyphens."
  }
}

variable "gateway" {
  type        = string
  default     = "doctune-gateway"
  description = "Cloud Run service whose logs are kept too."
}

variable "probe" {
  type        = string
  default     = null
  description = "Cloud Run job that asks the gateway a synthetic question; null for none."
}

variable "log_days" {
  type        = number
  default     = 90
  description = "Days for which logs are kept; beyond 30 they cost."

  validation {
    condition     = var.log_days >= 1 && var.log_days <= 3650
    error_message = "log_days is 1 to 3650."
  }
}

variable "alert_emails" {
  type        = set(string)
  default     = []
  description = "Who hears of alerts."

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "alert_emails holds e-mail addresses."
  }
}

variable "error_rate" {
  type        = number
  default     = 0.02
  description = "Share of answers with 5xx above which an alert is raised."

  validation {
    condition     = var.error_rate > 0 && var.error_rate < 1
    error_message = "error_rate is a share, above 0 and below 1."
  }
}

variable "latency_p99_ms" {
  type        = number
  default     = 10000
  description = "Milliseconds of the slowest hundredth above which an alert is raised."

  validation {
    condition     = var.latency_p99_ms > 0
    error_message = "latency_p99_ms is above 0."
  }
}

variable "endpoint_max_replicas" {
  type        = number
  default     = 2
  description = "endpoint.max_replica_count of vertex_config.yaml."

  validation {
    condition     = var.endpoint_max_replicas >= 1
    error_message = "endpoint_max_replicas is 1 or more."
  }
}

variable "first_token_p95_seconds" {
  type        = number
  default     = 5
  description = "Seconds to the first token of the slowest twentieth above which an alert is raised."

  validation {
    condition     = var.first_token_p95_seconds > 0
    error_message = "first_token_p95_seconds is above 0."
  }
}

variable "waiting_requests" {
  type        = number
  default     = 16
  description = "Mean number of requests in a model server's queue above which an alert is raised."

  validation {
    condition     = var.waiting_requests >= 1
    error_message = "waiting_requests is 1 or more."
  }
}

variable "empty_rate" {
  type        = number
  default     = 0.02
  description = "Share of empty answers above which an alert is raised."

  validation {
    condition     = var.empty_rate > 0 && var.empty_rate < 1
    error_message = "empty_rate is a share, above 0 and below 1."
  }
}

variable "refused_rate" {
  type        = number
  default     = 0.4
  description = "Share of answers that say that the documents do not say, above which an alert is raised."

  validation {
    condition     = var.refused_rate > 0 && var.refused_rate < 1
    error_message = "refused_rate is a share, above 0 and below 1."
  }
}

variable "unsupported_rate" {
  type        = number
  default     = 0.1
  description = "Share of agents' answers without a source above which an alert is raised."

  validation {
    condition     = var.unsupported_rate > 0 && var.unsupported_rate < 1
    error_message = "unsupported_rate is a share, above 0 and below 1."
  }
}

variable "drift" {
  type        = number
  default     = 0.2
  description = "Change of the share of refused questions, an hour against a week, above which an alert is raised."

  validation {
    condition     = var.drift > 0 && var.drift < 1
    error_message = "drift is a share, above 0 and below 1."
  }
}

variable "down_vote_rate" {
  type        = number
  default     = 0.3
  description = "Share of down-votes, of more than ten votes, above which an alert is raised."

  validation {
    condition     = var.down_vote_rate > 0 && var.down_vote_rate < 1
    error_message = "down_vote_rate is a share, above 0 and below 1."
  }
}

variable "tokens_a_day" {
  type        = number
  default     = 50000000
  description = "Tokens of a day above which an alert is raised."

  validation {
    condition     = var.tokens_a_day >= 1
    error_message = "tokens_a_day is 1 or more."
  }
}

variable "retraining_days" {
  type        = number
  default     = 14
  description = "Days without a successful run after which an alert is raised."

  validation {
    condition     = var.retraining_days >= 1 && var.retraining_days <= 365
    error_message = "retraining_days is 1 to 365."
  }
}

variable "budget" {
  type = object({
    billing_account = string
    units           = number
    currency        = optional(string, "USD")
    thresholds      = optional(list(number), [0.5, 0.9, 1.0])
  })
  default     = null
  description = "Budget of a month, in whole units of the billing account's currency; null for none."

  validation {
    condition     = try(var.budget.units, 1) >= 1 && try(floor(var.budget.units) == var.budget.units, true)
    error_message = "A budget's units are a whole number of 1 or more."
  }
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels of the alert policies."
}
