variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "environment" {
  type        = string
  description = "dev, staging or prod: a label of everything."

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment is dev, staging or prod."
  }
}

variable "location" {
  type        = string
  default     = "us-central1"
  description = "Region of everything."

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.location))
    error_message = "A region is written us-central1."
  }
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels beside app and environment."
}

variable "create_project" {
  type        = bool
  default     = false
  description = "Whether to make the project; else it must be there, with billing."
}

variable "billing_account" {
  type        = string
  default     = null
  description = "Billing account, for a project that is made and for the budget."

  validation {
    condition     = var.billing_account != null || (!var.create_project && var.monthly_budget == null)
    error_message = "create_project and monthly_budget need billing_account."
  }
}

variable "org_id" {
  type        = string
  default     = null
  description = "Organisation of a project that is made."
}

variable "folder_id" {
  type        = string
  default     = null
  description = "Folder of a project that is made."
}

variable "audited_apis" {
  type        = set(string)
  default     = ["secretmanager.googleapis.com"]
  description = "APIs whose reads and writes of data are logged."
}

variable "customer_managed_key" {
  type        = bool
  default     = false
  description = "Whether a key of one's own encrypts everything; its service agents must be there (docs/gcp-setup.md)."
}

variable "retention_days" {
  type        = number
  default     = 0
  description = "Days for which training data, models and results can be neither replaced nor deleted; 0 for none."

  validation {
    condition     = var.retention_days >= 0 && var.retention_days <= 3650
    error_message = "retention_days is 0 to 3650."
  }
}

variable "pipeline_root_days" {
  type        = number
  default     = 0
  description = "Days after which what runs wrote is deleted, models included, but for their caches; 0 for never."

  validation {
    condition     = var.pipeline_root_days == 0 || var.pipeline_root_days >= 30
    error_message = "pipeline_root_days is 0, or 30 or more: a deployed model's artifacts lie there."
  }
}

variable "deletion_protection" {
  type        = bool
  default     = true
  description = "Whether the database, the secrets and the gateway cannot be deleted, nor buckets that hold objects."
}

variable "build_repository" {
  type        = string
  default     = null
  description = "Connected repository for Cloud Build: projects/P/locations/L/connections/C/repositories/R; null for no triggers."
}

variable "build_triggers" {
  type        = set(string)
  default     = ["pull-request", "merge", "release"]
  description = "Triggers to make in this environment."
}

variable "build_substitutions" {
  type        = map(map(string))
  default     = {}
  description = "Substitutions of the builds by trigger, beside or instead of those set here."
}

variable "image_readers" {
  type        = map(string)
  default     = {}
  description = "Who else may pull images and pipelines, such as another project's pipeline account and Vertex AI agents: any name -> member."
}

variable "builders" {
  type        = map(string)
  default     = {}
  description = "Build accounts of another project that ship to this one: any name -> member."
}

variable "schedules" {
  type = map(object({
    cron       = string
    time_zone  = optional(string, "Etc/UTC")
    pipeline   = optional(string, "train-and-deploy")
    version    = string
    parameters = string
    paused     = optional(bool, false)
  }))
  default     = {}
  description = "Retraining by the clock; see modules/retraining."
}

variable "private_google_apis" {
  type        = bool
  default     = false
  description = "Whether Google's APIs are reached at a private address alone."
}

variable "database" {
  type = object({
    tier              = optional(string, "db-f1-micro")
    edition           = optional(string, "ENTERPRISE")
    high_availability = optional(bool, false)
    disk_gb           = optional(number, 10)
  })
  default     = null
  description = "Postgres for the gateway; null for none."
}

variable "gateway" {
  type = object({
    image         = optional(string)
    ingress       = optional(string, "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER")
    invokers      = optional(map(string), {})
    min_instances = optional(number, 0)
    max_instances = optional(number, 4)
    concurrency   = optional(number, 80)
    cpu           = optional(string, "1")
    memory        = optional(string, "1Gi")
    secrets       = optional(map(string), {})
    probe = optional(object({
      address  = string
      question = optional(string, "What is this about?")
      secret   = optional(string)
      cron     = optional(string, "*/5 * * * *")
    }))
  })
  default     = {}
  description = "The REST API on Cloud Run; without an image there is none. secrets: environment variable -> secret, by the end of its name. probe: a synthetic question by a clock, with its key in a secret."
}

variable "gateway_secrets" {
  type        = set(string)
  default     = []
  description = "Secrets that the gateway reads, by the end of their names; their values are added by hand."
}

variable "log_days" {
  type        = number
  default     = 90
  description = "Days for which logs are kept."
}

variable "alert_emails" {
  type        = set(string)
  default     = []
  description = "Who hears of alerts."
}

variable "latency_p99_ms" {
  type        = number
  default     = 10000
  description = "Milliseconds of the slowest hundredth of answers above which an alert is raised."
}

variable "endpoint_max_replicas" {
  type        = number
  default     = 2
  description = "endpoint.max_replica_count of vertex_config.yaml."
}

variable "retraining_days" {
  type        = number
  default     = 14
  description = "Days without a successful run after which an alert is raised."
}

variable "retraining_trigger" {
  type = object({
    image         = string
    version       = string
    config_bucket = string
    config_folder = optional(string, "config")
    cron          = optional(string, "*/10 * * * *")
    index         = optional(string)
    bucket        = optional(string)
    environment   = optional(map(string), {})
    paused        = optional(bool, false)
  })
  default     = null
  description = "doctune retrain trigger as a Cloud Run job: see modules/retraining. It needs database, where feedback lies. Null for none."

  validation {
    condition     = var.retraining_trigger == null || var.database != null
    error_message = "retraining_trigger needs database: the trigger decides by the feedback that lies there."
  }
}

variable "monthly_budget" {
  type        = number
  default     = null
  description = "Budget of a month in whole units of budget_currency; null for none. It warns, it does not stop."
}

variable "budget_currency" {
  type        = string
  default     = "USD"
  description = "Currency of the billing account."

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.budget_currency))
    error_message = "A currency is written USD."
  }
}

variable "github" {
  type = object({
    repository    = optional(string)
    repository_id = optional(string)
  })
  default     = {}
  description = "Repository whose GitHub Actions may act as the release account, without keys."
}

variable "perimeter" {
  type = object({
    access_policy = string
    dry_run       = optional(bool, true)
    access_levels = optional(set(string), [])
  })
  default     = null
  description = "VPC Service Controls around the project; null for none."
}
