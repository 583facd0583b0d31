variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "location" {
  type        = string
  default     = "us-central1"
  description = "Region of everything."
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

variable "build_repository" {
  type        = string
  default     = null
  description = "Connected repository for Cloud Build; null for no triggers."
}

variable "build_substitutions" {
  type        = map(map(string))
  default     = {}
  description = "Substitutions of the builds by trigger: { release = { _PROD_PROJECT = ..., _PROD_BUCKET = ..., _PROD_SERVICE_ACCOUNT = ... } }."
}

variable "image_readers" {
  type        = map(string)
  default     = {}
  description = "Who else may pull: production's pipeline account and its agents service-NUMBER@gcp-sa-aiplatform and @gcp-sa-aiplatform-cc, any name -> member."
}

variable "github" {
  type = object({
    repository    = optional(string)
    repository_id = optional(string)
  })
  default     = {}
  description = "Repository whose GitHub Actions may act as the build account: OWNER/NAME and its number."
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
  description = "Retraining by the clock: when, which build of the pipeline, its parameters as JSON."
}

variable "gateway" {
  type = object({
    image         = optional(string)
    ingress       = optional(string, "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER")
    invokers      = optional(map(string), {})
    min_instances = optional(number, 0)
    max_instances = optional(number, 4)
  })
  default     = {}
  description = "The REST API on Cloud Run; without an image there is none."
}

variable "gateway_secrets" {
  type        = set(string)
  default     = []
  description = "Secrets that the gateway reads, by the end of their names."
}

variable "endpoint_max_replicas" {
  type        = number
  default     = 2
  description = "endpoint.max_replica_count of vertex_config.yaml."
}

variable "alert_emails" {
  type        = set(string)
  default     = []
  description = "Who hears of alerts."
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
