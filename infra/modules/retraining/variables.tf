variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "location" {
  type        = string
  description = "Region of the runs."
}

variable "prefix" {
  type        = string
  default     = "doctune"
  description = "Begins the jobs' names."
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
  description = "Runs by name: when, which pipeline, which tag or sha256: version of it, and its parameters as a JSON object."

  validation {
    condition     = alltrue([for schedule in var.schedules : length(split(" ", schedule.cron)) == 5])
    error_message = "A cron line has five fields: minute, hour, day of month, month, day of week."
  }

  validation {
    condition     = alltrue([for schedule in var.schedules : can(keys(jsondecode(schedule.parameters)))])
    error_message = "parameters is a JSON object: write jsonencode({...})."
  }

  validation {
    condition     = alltrue([for schedule in var.schedules : schedule.version != "latest"])
    error_message = "A schedule names one build of the pipeline; latest does not."
  }
}

variable "pipelines_url" {
  type        = string
  description = "Repository of compiled pipelines: https://L-kfp.pkg.dev/P/R."
}

variable "pipeline_root" {
  type        = string
  description = "gs:// URL under which runs keep their artifacts."

  validation {
    condition     = startswith(var.pipeline_root, "gs://")
    error_message = "The pipeline root begins with gs://."
  }
}

variable "pipeline_account" {
  type        = string
  description = "E-mail of the account that the runs run as."
}

variable "scheduler_account" {
  type        = string
  description = "E-mail of the account that starts them."
}

variable "kms_key" {
  type        = string
  default     = null
  description = "Key of one's own that encrypts the runs; null for Google's."
}

variable "trigger" {
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
  description = "doctune retrain trigger as a Cloud Run job: the training image, the tag or sha256: version of the pipeline retrain, the bucket and folder of its configuration, when it is started, gs:// folder of the index that corrections are checked against, the bucket whose new PDFs start it too, and more environment variables. Null for none."

  validation {
    condition     = var.trigger == null || !endswith(try(var.trigger.image, "-"), ":latest") && try(var.trigger.version, "-") != "latest"
    error_message = "A trigger names one build of image and pipeline; latest does not."
  }

  validation {
    condition     = var.trigger == null || length(split(" ", try(var.trigger.cron, ""))) == 5
    error_message = "A cron line has five fields: minute, hour, day of month, month, day of week."
  }
}

variable "trigger_account" {
  type        = string
  default     = null
  description = "E-mail of the account that the trigger runs as; null where there is no trigger."
}

variable "environment" {
  type        = map(string)
  default     = {}
  description = "Environment variables of the trigger: project, region, database."
}

variable "network" {
  type        = string
  default     = null
  description = "Network through which the trigger reaches the database."
}

variable "subnetwork" {
  type        = string
  default     = null
  description = "Subnet from which it takes its address."
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels of what is made."
}

variable "deletion_protection" {
  type        = bool
  default     = true
  description = "Whether job and workflow are kept from being deleted."
}
