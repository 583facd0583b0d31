variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "location" {
  type        = string
  description = "Region of the service."
}

variable "name" {
  type        = string
  default     = "doctune-gateway"
  description = "Name of the service."
}

variable "image" {
  type        = string
  default     = null
  description = "Image of the first revision, by tag of a commit or by digest; null for no service yet."

  validation {
    condition     = var.image == null || !endswith(coalesce(var.image, "-"), ":latest")
    error_message = "An image names one build; latest does not."
  }
}

variable "service_account" {
  type        = string
  description = "E-mail of the account that it runs as."
}

variable "network" {
  type        = string
  description = "Network through which it reaches the database."
}

variable "subnetwork" {
  type        = string
  description = "Subnet from which it takes its addresses."
}

variable "ingress" {
  type        = string
  default     = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  description = "Who reaches it: INGRESS_TRAFFIC_ALL, _INTERNAL_ONLY or _INTERNAL_LOAD_BALANCER."

  validation {
    condition     = contains(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"], var.ingress)
    error_message = "ingress is INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY or INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER."
  }
}

variable "invokers" {
  type        = map(string)
  default     = {}
  description = "Who may call it: any name -> member. Never allUsers."

  validation {
    condition     = alltrue([for member in var.invokers : !contains(["allUsers", "allAuthenticatedUsers"], member)])
    error_message = "The gateway is not for everybody: name users, groups or service accounts."
  }
}

variable "deployers" {
  type        = map(string)
  default     = {}
  description = "Who may deploy new revisions: any name -> member."
}

variable "environment" {
  type        = map(string)
  default     = {}
  description = "Environment variables."
}

variable "secret_environment" {
  type = map(object({
    secret  = string
    version = string
  }))
  default     = {}
  description = "Environment variables from Secret Manager: name -> secret and version."
}

variable "cpu" {
  type        = string
  default     = "1"
  description = "CPUs of an instance."
}

variable "memory" {
  type        = string
  default     = "1Gi"
  description = "Memory of an instance."
}

variable "min_instances" {
  type        = number
  default     = 0
  description = "Instances that always stand by; 0 costs nothing at rest and starts slowly."

  validation {
    condition     = var.min_instances >= 0
    error_message = "min_instances is 0 or more."
  }
}

variable "max_instances" {
  type        = number
  default     = 4
  description = "Most instances; a limit of the cost."

  validation {
    condition     = var.max_instances >= 1
    error_message = "max_instances is 1 or more."
  }
}

variable "concurrency" {
  type        = number
  default     = 80
  description = "Requests that one instance answers at a time."

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 1000
    error_message = "concurrency is 1 to 1000."
  }
}

variable "timeout_seconds" {
  type        = number
  default     = 120
  description = "Seconds after which a request is given up."

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 3600
    error_message = "timeout_seconds is 1 to 3600."
  }
}

variable "health_path" {
  type        = string
  default     = "/healthz"
  description = "Path that answers 200 once the service is ready."

  validation {
    condition     = startswith(var.health_path, "/")
    error_message = "health_path begins with /."
  }
}

variable "kms_key" {
  type        = string
  default     = null
  description = "Key of one's own that encrypts the revisions; null for Google's."
}

variable "deletion_protection" {
  type        = bool
  default     = true
  description = "Whether Terraform refuses to delete the service."
}

variable "labels" {
  type        = map(string)
  default     = {}
  description = "Labels of the service."
}

variable "probe" {
  type = object({
    address  = string
    question = optional(string, "What is this about?")
    secret   = optional(string)
    cron     = optional(string, "*/5 * * * *")
  })
  default     = null
  description = "Asks a synthetic question by a clock: the address https://HOST/v1#MODEL as users reach it, and the secret with its key; null for none."

  validation {
    condition     = var.probe == null || can(regex("^https://[^#]+/v1#[^#]+$", var.probe.address))
    error_message = "The probe's address is https://HOST/v1#MODEL."
  }
}

variable "scheduler_account" {
  type        = string
  description = "E-mail of the account that starts the probe."
}
