variable "project_id" {
  type        = string
  description = "ID of the project."
}

variable "location" {
  type        = string
  description = "Region of the triggers: that of the connection to GitHub."
}

variable "prefix" {
  type        = string
  default     = "doctune"
  description = "Begins the triggers' names."
}

variable "repository" {
  type        = string
  default     = null
  description = "Connected repository: projects/P/locations/L/connections/C/repositories/R; null for no triggers."

  validation {
    condition     = var.repository == null || can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", var.repository))
    error_message = "A connected repository is written projects/P/locations/L/connections/C/repositories/R."
  }
}

variable "enabled" {
  type        = set(string)
  default     = ["pull-request", "merge", "release"]
  description = "Which triggers to make."

  validation {
    condition     = alltrue([for name in var.enabled : contains(["pull-request", "merge", "release"], name)])
    error_message = "Triggers are pull-request, merge and release."
  }
}

variable "files" {
  type = object({
    pull_request = optional(string, "cloudbuild/pull_request.yaml")
    merge        = optional(string, "cloudbuild.yaml")
    release      = optional(string, "cloudbuild/release.yaml")
  })
  default     = {}
  description = "Build files in the repository."
}

variable "service_account" {
  type        = string
  description = "Account that the builds run as: projects/P/serviceAccounts/E-MAIL."
}

variable "branch" {
  type        = string
  default     = "^main$"
  description = "Branch whose pull requests and merges are built, as a regular expression."
}

variable "release_tag" {
  type        = string
  default     = "^v[0-9]+\\.[0-9]+\\.[0-9]+$"
  description = "Tags that are releases, as a regular expression."
}

variable "substitutions" {
  type        = map(map(string))
  default     = {}
  description = "Substitutions of the builds by trigger, such as { merge = { _REGION = \"us-central1\" } }."

  validation {
    condition     = alltrue([for values in var.substitutions : alltrue([for name in keys(values) : can(regex("^_[A-Z0-9_]+$", name))])])
    error_message = "A substitution's name begins with _ and has upper-case letters, digits and _."
  }

  validation {
    condition     = alltrue([for name in keys(var.substitutions) : contains(["pull-request", "merge", "release"], name)])
    error_message = "Triggers are pull-request, merge and release."
  }
}
